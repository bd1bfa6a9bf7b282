// InvokeEndpointWithBidirectionalStream, made of the parts that every AWS SDK for JavaScript client
// is made of: npm has no package of this service. Schemas are in those clients' own notation.
import { getHostHeaderPlugin, resolveHostHeaderConfig } from "@aws-sdk/core/client";
import { AwsSdkSigV4Signer, resolveAwsSdkSigV4Config } from "@aws-sdk/core/httpAuthSchemes";
import { AwsRestJsonProtocol } from "@aws-sdk/core/protocols";
import { eventStreamPayloadHandlerProvider } from "@aws-sdk/eventstream-handler-node";
import { getEventStreamPlugin, resolveEventStreamConfig } from "@aws-sdk/middleware-eventstream";
import {
    DefaultIdentityProviderConfig,
    getHttpAuthSchemeEndpointRuleSetPlugin,
    getHttpSigningPlugin,
} from "@smithy/core";
import { Sha256 } from "@smithy/core/checksum";
import { Client, Command, NoOpLogger, ServiceException } from "@smithy/core/client";
import { getEndpointPlugin, resolveEndpointConfig } from "@smithy/core/endpoints";
import {
    eventStreamSerdeProvider,
    resolveEventStreamSerdeConfig,
} from "@smithy/core/event-streams";
import { parseUrl } from "@smithy/core/protocols";
import { getRetryPlugin, resolveRetryConfig } from "@smithy/core/retry";
import { getSchemaSerdePlugin, TypeRegistry } from "@smithy/core/schema";
import { fromBase64, fromUtf8, toBase64, toUtf8 } from "@smithy/core/serde";
import { NodeHttp2Handler, streamCollector } from "@smithy/node-http-handler";

const NAMESPACE = "com.amazonaws.sagemakerruntimehttp2";
const SIGV4 = "aws.auth#sigv4";
const [STRUCTURE, UNION, OPERATION, ERROR] = [3, 4, 9, -3];
const [STRING, NUMBER, BLOB] = [0, 1, 21];

const registry = TypeRegistry.for(NAMESPACE);

function shape(kind, name, traits, members, required = 0) {
    return [kind, NAMESPACE, name, traits, Object.keys(members), Object.values(members), required];
}

function error(name, traits, members) {
    const schema = shape(ERROR, name, traits, members);
    registry.registerError(schema, class extends ServiceException {
        constructor(options) {
            super({ name, $fault: traits.error, ...options });
        }
    });
    return schema;
}

const Part = (name) => shape(STRUCTURE, name, 0, {
    Bytes: [BLOB, { eventPayload: 1 }],
    DataType: [STRING, { eventHeader: 1 }],
    CompletionState: [STRING, { eventHeader: 1 }],
    P: [STRING, { eventHeader: 1 }],
});
const RequestPart = Part("RequestPayloadPart");
const ResponsePart = Part("ResponsePayloadPart");
const both = { Message: STRING, ErrorCode: STRING };
const ModelStreamError = error("ModelStreamError", { error: "client", httpError: 400 }, both);
const InternalStreamFailure = error(
    "InternalStreamFailure", { error: "server", httpError: 500 }, { Message: STRING },
);
error("InputValidationError", { error: "client", httpError: 400 }, both);
error("ModelError", { error: "client", httpError: 424 }, {
    ...both, OriginalStatusCode: NUMBER, OriginalMessage: STRING, LogStreamArn: STRING,
});

const streaming = { streaming: 1 };
const RequestStream = shape(UNION, "RequestStreamEvent", streaming, {
    PayloadPart: [() => RequestPart, 0],
});
const ResponseStream = shape(UNION, "ResponseStreamEvent", streaming, {
    PayloadPart: [() => ResponsePart, 0],
    ModelStreamError: [() => ModelStreamError, 0],
    InternalStreamFailure: [() => InternalStreamFailure, 0],
});
const header = (name) => [STRING, { httpHeader: name }];
const Input = shape(STRUCTURE, "InvokeInput", 0, {
    EndpointName: [STRING, { httpLabel: 1 }],
    Body: [() => RequestStream, 16],
    TargetVariant: header("X-Amzn-SageMaker-Target-Variant"),
    ModelInvocationPath: header("X-Amzn-SageMaker-Model-Invocation-Path"),
    ModelQueryString: header("X-Amzn-SageMaker-Model-Query-String"),
}, 1);
const Output = shape(STRUCTURE, "InvokeOutput", 0, {
    Body: [() => ResponseStream, 16],
    InvokedProductionVariant: header("X-Amzn-Invoked-Production-Variant"),
});
const NAME = "InvokeEndpointWithBidirectionalStream";
const PATH = "/endpoints/{EndpointName}/invocations-bidirectional-stream";
const Invoke = [OPERATION, NAMESPACE, NAME, { http: ["POST", PATH, 200] }, () => Input, () => Output];

/** Sends a Body (an async iterable of events), and gives one back. */
export class InvokeCommand extends Command.classBuilder()
    .ep({})
    .m(function (constructor, stack, config) {
        const parameters = constructor.getEndpointParameterInstructions();
        return [getEndpointPlugin(config, parameters), getEventStreamPlugin(config)];
    })
    .s("SageMakerRuntimeHttp2", NAME, {})
    .n("SageMakerRuntimeHTTP2Client", `${NAME}Command`)
    .sc(Invoke)
    .build() {}

/** A client of one endpoint URL; credentials are `{ accessKeyId, secretAccessKey }`. */
export class SageMakerClient extends Client {
    constructor({ url, region, credentials }) {
        const given = {
            apiVersion: "2025-10-01",
            base64Decoder: fromBase64,
            base64Encoder: toBase64,
            credentials,
            defaultSigningName: "sagemaker",
            endpoint: url,
            endpointProvider: () => ({ url: new URL(url), headers: {} }),
            eventStreamPayloadHandlerProvider,
            eventStreamSerdeProvider,
            extensions: [],
            httpAuthSchemeProvider: (parameters) => [{
                schemeId: SIGV4,
                signingProperties: { name: "sagemaker", region: parameters.region },
                propertiesExtractor: (config, context) => ({ signingProperties: { config, context } }),
            }],
            httpAuthSchemes: [{
                schemeId: SIGV4,
                identityProvider: (config) => config.getIdentityProvider(SIGV4),
                signer: new AwsSdkSigV4Signer(),
            }],
            logger: new NoOpLogger(),
            maxAttempts: async () => 1,
            protocol: AwsRestJsonProtocol,
            protocolSettings: {
                defaultNamespace: NAMESPACE,
                errorTypeRegistries: [registry],
                version: "2025-10-01",
                serviceTarget: "AmazonSageMakerRuntimeHttp2",
            },
            region: async () => region,
            requestHandler: new NodeHttp2Handler({ disableConcurrentStreams: true }),
            retryMode: async () => "standard",
            serviceId: "SageMaker Runtime HTTP2",
            sha256: Sha256,
            streamCollector,
            urlParser: parseUrl,
            useDualstackEndpoint: async () => false,
            useFipsEndpoint: async () => false,
            utf8Decoder: fromUtf8,
            utf8Encoder: toUtf8,
        };
        super(given);
        let config = resolveHostHeaderConfig(given);
        config = resolveEndpointConfig(config);
        config = resolveEventStreamSerdeConfig(config);
        config = resolveAwsSdkSigV4Config(config);
        config = resolveEventStreamConfig(config);
        config = resolveRetryConfig(config);
        this.config = config;
        this.middlewareStack.use(getSchemaSerdePlugin(config));
        this.middlewareStack.use(getHostHeaderPlugin(config));
        this.middlewareStack.use(getRetryPlugin(config));
        this.middlewareStack.use(getHttpAuthSchemeEndpointRuleSetPlugin(config, {
            httpAuthSchemeParametersProvider: async () => ({ operation: NAME, region }),
            identityProviderConfigProvider: async () =>
                new DefaultIdentityProviderConfig({ [SIGV4]: config.credentials }),
        }));
        this.middlewareStack.use(getHttpSigningPlugin(config));
    }
}
