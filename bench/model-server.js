import { once } from 'node:events';
import { createServer } from 'node:http';

/**
 * A model without latency: it speaks OpenAI's chat completions, thinks something else each time, and never leaves.
 * Answers its base URL, as `MODEL_API_URL` takes it, and `close`.
 */
export async function startModelServer() {
  let calls = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      calls += 1;
      const content = JSON.stringify({ thought: '', action: 'THINK', argument: `thought ${calls}` });
      const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }];
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
