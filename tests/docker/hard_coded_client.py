"""A client as people publish them: SageMaker's own host stands in the code.

It knows nothing of an emulator. It gets its credentials and its trust from the environment, as on
any machine in AWS, and prints the final transcript.
"""

import asyncio
import base64
import json
import sys
import wave

from aws_sdk_sagemaker_runtime_http2.client import AsyncSageMakerRuntimeHTTP2Client
from aws_sdk_sagemaker_runtime_http2.config import AsyncSageMakerRuntimeHTTP2Config
from aws_sdk_sagemaker_runtime_http2.models import (
    InvokeEndpointWithBidirectionalStreamInput,
    RequestPayloadPart,
    RequestStreamEventPayloadPart,
    ResponseStreamEventPayloadPart,
)
from smithy_http.aio.crt import AWSCRTHTTPClient

AWS_REGION = "us-east-1"
BIDI_ENDPOINT = f"https://runtime.sagemaker.{AWS_REGION}.amazonaws.com:8443"
ENDPOINT_NAME = "voxtral"


async def main() -> None:
    config = await AsyncSageMakerRuntimeHTTP2Config.resolve(
        endpoint_uri=BIDI_ENDPOINT, region=AWS_REGION, transport=AWSCRTHTTPClient()
    )
    client = AsyncSageMakerRuntimeHTTP2Client(config=config)
    stream = await client.invoke_endpoint_with_bidirectional_stream(
        InvokeEndpointWithBidirectionalStreamInput(endpoint_name=ENDPOINT_NAME)
    )

    async def send(**message: object) -> None:
        payload = RequestPayloadPart(bytes_=json.dumps(message).encode(), data_type="UTF8")
        await stream.input_stream.send(RequestStreamEventPayloadPart(value=payload))

    with wave.open(sys.argv[1], "rb") as file:
        audio = file.readframes(file.getnframes())
    await send(type="session.update", model="")
    await send(type="input_audio_buffer.commit", final=False)
    for start in range(0, len(audio), 4096):
        chunk = base64.b64encode(audio[start : start + 4096]).decode()
        await send(type="input_audio_buffer.append", audio=chunk)
    await send(type="input_audio_buffer.commit", final=True)

    _, output = await stream.await_output()
    while (event := await output.receive()) is not None:
        if isinstance(event, ResponseStreamEventPayloadPart):
            message = json.loads(event.value.bytes_ or b"")
            if message["type"] == "transcription.done":
                print(message["text"].strip())
                break
    await stream.input_stream.close()


asyncio.run(main())
