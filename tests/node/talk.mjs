// Plays one case and prints what the client saw as one JSON line: node talk.mjs URL CASE.
// --8<-- [start:client]
import { InvokeCommand, SageMakerClient } from "./sagemaker.mjs";

const [url, name] = process.argv.slice(2);
const client = new SageMakerClient({
    url,
    region: process.env.AWS_REGION,
    credentials: {
        accessKeyId: process.env.AWS_ACCESS_KEY_ID,
        secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
    },
});
// --8<-- [end:client]

// --8<-- [start:echo]
/** A Body whose parts are pushed one by one. */
class Parts {
    #waiting = [];
    #wake = () => {};
    #closed = false;

    push(bytes, headers = {}) {
        this.#waiting.push({ PayloadPart: { Bytes: Buffer.from(bytes), ...headers } });
        this.#wake();
    }

    close() {
        this.#closed = true;
        this.#wake();
    }

    async *[Symbol.asyncIterator]() {
        for (;;) {
            if (this.#waiting.length) yield this.#waiting.shift();
            else if (this.#closed) return;
            else await new Promise((resolve) => { this.#wake = resolve; });
        }
    }
}

function told(part) {
    const { Bytes, DataType, CompletionState } = part;
    return { base64: Buffer.from(Bytes).toString("base64"), DataType, CompletionState };
}

/** Sends the parts, waiting for the answer to each, then closes the input. */
async function echo(sends, endpoint = "echo") {
    const parts = new Parts();
    const seen = [];
    let number = 0;
    parts.push(...sends[number++]);
    const { Body, InvokedProductionVariant } =
        await client.send(new InvokeCommand({ EndpointName: endpoint, Body: parts }));
    for await (const event of Body) {
        if (!event.PayloadPart) return { variant: InvokedProductionVariant, seen, ended: event };
        seen.push(told(event.PayloadPart));
        if (number < sends.length) parts.push(...sends[number++]);
        else parts.close();
    }
    return { variant: InvokedProductionVariant, seen, ended: "end of stream" };
}
// --8<-- [end:echo]

/** Sends one part, and leaves the input open whatever comes. */
async function oneOpen(endpoint) {
    const parts = new Parts();
    parts.push("hello", { DataType: "UTF8" });
    const { Body } = await client.send(new InvokeCommand({ EndpointName: endpoint, Body: parts }));
    const seen = [];
    for await (const event of Body) seen.push(told(event.PayloadPart));
    return { seen, ended: "end of stream" };
}

/** Sends a part and closes the input behind it. */
async function halfClose() {
    const parts = new Parts();
    parts.push("hello", { DataType: "UTF8" });
    parts.close();
    const { Body } = await client.send(new InvokeCommand({ EndpointName: "silent", Body: parts }));
    const seen = [];
    for await (const event of Body ?? []) if (event?.PayloadPart) seen.push(told(event.PayloadPart));
    return { seen, ended: "end of stream" };
}

const CASES = {
    text: () => echo([["grüße", { DataType: "UTF8" }], ["two", { DataType: "UTF8", CompletionState: "COMPLETE" }]]),
    binary: () => echo([[Uint8Array.of(0, 255, 254, 10), { DataType: "BINARY" }], [Uint8Array.of(1), {}]]),
    fragments: () => echo([["one", { DataType: "UTF8", CompletionState: "PARTIAL" }], ["two", { DataType: "UTF8", CompletionState: "COMPLETE" }]]),
    many: () => echo(Array.from({ length: 200 }, (_, i) => [`part ${i}`, { DataType: "UTF8" }])),
    "half-close": halfClose,
    refused: () => oneOpen("refusing"),
    "model-error": () => oneOpen("dying"),
    "no-endpoint": () => oneOpen("nowhere"),
};

let report;
try {
    report = await CASES[name]();
} catch (error) {
    const { ErrorCode, OriginalStatusCode, OriginalMessage, $metadata } = error;
    report = {
        raised: error.name,
        message: error.Message ?? error.message,
        status: $metadata?.httpStatusCode,
        ErrorCode,
        OriginalStatusCode,
        OriginalMessage,
    };
}
console.log(JSON.stringify(report));
process.exit(0);
