"""Stream a WAV file with releases 0.1 to 0.9 of the SDK."""

import argparse
from typing import Any

from aws_sdk_sagemaker_runtime_http2.client import SageMakerRuntimeHTTP2Client
from aws_sdk_sagemaker_runtime_http2.config import Config
from aws_sdk_sagemaker_runtime_http2.models import (
    InvokeEndpointWithBidirectionalStreamInput,
    RequestPayloadPart,
    RequestStreamEventPayloadPart,
)
from smithy_aws_core.identity import EnvironmentCredentialsResolver
from stream_wav import Invoke, run  # type: ignore[import-not-found]


def invoke_with(args: argparse.Namespace) -> Invoke:
    async def invoke() -> Any:
        client = SageMakerRuntimeHTTP2Client(
            config=Config(
                endpoint_uri=args.endpoint_url,
                region=args.region,
                aws_credentials_identity_resolver=EnvironmentCredentialsResolver(),  # type: ignore[no-untyped-call]
            )
        )
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
