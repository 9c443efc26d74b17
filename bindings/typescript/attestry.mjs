/**
 * A `fetch` that records the calls of a model in `attestry serve`: pass it to a client of a provider.
 *
 * The start of a call is on stable storage before the request is sent, and its end when the response has been read.
 * What the server refuses to record is not sent.
 *
 * @param {{url?: string, token?: string, metadata?: () => Record<string, unknown>}} [options]
 * @returns {typeof fetch}
 */
export function recordingFetch({ url = "http://127.0.0.1:4318", token, metadata } = {}) {
  const post = async (path, type, body) => {
    const headers = { "content-type": type };
    if (token) headers.authorization = `Bearer ${token}`;
    const response = await fetch(url + path, { method: "POST", headers, body });
    if (!response.ok) throw new Error(`attestry: ${response.status} ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  };
  const json = (path, value) => post(path, "application/json", JSON.stringify(value));

  return async (input, init) => {
    const request = new Request(input, init);
    if (request.method !== "POST") return fetch(request);
    const asked = await request.clone().text();
    const { id } = await json("/v1/calls", {
      input: asked,
      model: modelOf(asked),
      metadata: { "server.address": new URL(request.url).hostname, ...metadata?.() },
    });
    let hasEnded = false;
    const end = async (fields) => {
      if (hasEnded) return;
      hasEnded = true;
      await json(`/v1/calls/${id}/end`, fields);
    };
    let response;
    try {
      response = await fetch(request);
    } catch (error) {
      await end({ outcome: "failed", error_type: error.name });
      throw error;
    }
    const status = { metadata: { "http.response.status_code": response.status } };
    const ok = response.ok ? status : { ...status, outcome: "failed", error_type: `${response.status}` };
    if (!response.body) {
      await end(ok);
      return response;
    }
    const decoder = new TextDecoder();
    const push = (text) =>
      text ? post(`/v1/calls/${id}/output`, "text/plain; charset=utf-8", text) : undefined;
    const reader = response.body.getReader();
    const body = new ReadableStream({
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) {
          await end({ ...ok, output: decoder.decode() });
          controller.close();
          return;
        }
        await push(decoder.decode(value, { stream: true }));
        controller.enqueue(value);
      },
      async cancel(reason) {
        // Before the reader is cancelled, which ends a read that is waiting.
        await end({ ...status, outcome: "cut_off", output: decoder.decode() });
        await reader.cancel(reason);
      },
    });
    return new Response(body, response);
  };
}

/** The model in the body of a request. */
function modelOf(body) {
  try {
    const { model } = JSON.parse(body);
    return typeof model === "string" ? model : undefined;
  } catch {
    return undefined;
  }
}
