"""The code under test, as an application has it. It knows nothing of an emulator."""

from aws_sdk_sagemaker_runtime_http2.client import AsyncSageMakerRuntimeHTTP2Client
from aws_sdk_sagemaker_runtime_http2.config import AsyncSageMakerRuntimeHTTP2Config
from aws_sdk_sagemaker_runtime_http2.models import (
    InvokeEndpointWithBidirectionalStreamInput,
    RequestPayloadPart,
    RequestStreamEventPayloadPart,
)
from smithy_http.aio.crt import AWSCRTHTTPClient


async def ask(endpoint: str, questions: list[str]) -> list[str]:
    """Send each question, and wait for its answer."""
    config = await AsyncSageMakerRuntimeHTTP2Config.resolve(transport=AWSCRTHTTPClient())
    client = AsyncSageMakerRuntimeHTTP2Client(config=config)
    stream = await client.invoke_endpoint_with_bidirectional_stream(
        InvokeEndpointWithBidirectionalStreamInput(endpoint_name=endpoint)
    )
    _, output = await stream.await_output()
    answers = []
    for question in questions:
        part = RequestPayloadPart(
            bytes_=question.encode(), data_type="UTF8", completion_state="COMPLETE"
        )
        await stream.input_stream.send(RequestStreamEventPayloadPart(value=part))
        event = await output.receive()
        answers.append(event.value.bytes_.decode())
    # Not before the last answer: closing the input ends everything.
    await stream.input_stream.close()
    return answers
