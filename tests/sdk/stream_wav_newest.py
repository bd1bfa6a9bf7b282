"""Stream a WAV file with releases from 0.12 of the SDK."""

import argparse
from typing import Any

from aws_sdk_sagemaker_runtime_http2.client import AsyncSageMakerRuntimeHTTP2Client
from aws_sdk_sagemaker_runtime_http2.config import AsyncSageMakerRuntimeHTTP2Config
from aws_sdk_sagemaker_runtime_http2.models import (
    InvokeEndpointWithBidirectionalStreamInput,
    RequestPayloadPart,
    RequestStreamEventPayloadPart,
)
from smithy_http.aio.crt import AWSCRTHTTPClient
from stream_wav import Invoke, run  # type: ignore[import-not-found]


def invoke_with(args: argparse.Namespace) -> Invoke:
    async def invoke() -> Any:
        config = await AsyncSageMakerRuntimeHTTP2Config.resolve(
            endpoint_uri=args.endpoint_url,
            region=args.region,
            # The default transport, aiohttp, can't send and receive at the same time.
            transport=AWSCRTHTTPClient(),
        )
        client = AsyncSageMakerRuntimeHTTP2Client(config=config)
        return await client.invoke_endpoint_with_bidirectional_stream(
            InvokeEndpointWithBidirectionalStreamInput(endpoint_name=args.endpoint_name)
        )

    return invoke


def make_part(data: bytes) -> RequestStreamEventPayloadPart:
    return RequestStreamEventPayloadPart(
        value=RequestPayloadPart(bytes_=data, data_type="UTF8", completion_state="COMPLETE")
    )


if __name__ == "__main__":
    run(invoke_with, make_part)
