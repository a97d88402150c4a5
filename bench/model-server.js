import { once } from 'node:events';
import { createServer } from 'node:http';

/** Thinks something else each time, and never leaves. */
function thinkForEver() {
  let calls = 0;
  return () => {
    calls += 1;
    return { thought: '', action: 'THINK', argument: `thought ${calls}` };
  };
}

/**
 * A model that speaks OpenAI's chat completions; without a script it has no latency and thinks for ever. `script` gets
 * path and body of a request, and answers the action, at once or later. Answers its base URL, as `MODEL_API_URL` takes it,
 * and `close`.
 */
export async function startModelServer(script = thinkForEver()) {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text) => (body += text));
    request.on('end', async () => {
      const action = await script(request.url, body);
      const message = { role: 'assistant', content: JSON.stringify(action) };
      const choices = [{ index: 0, message, finish_reason: 'stop' }];
      const usage = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 };
      const completion = { id: '1', object: 'chat.completion', created: 1, model: 'none', choices, usage };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(completion));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
