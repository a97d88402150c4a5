import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/free-port.js';
import { ALICE, openStage, type Stage, thinker } from '../support/stage.js';
import { type CollectedSpan, startTraceCollector } from '../support/trace-collector.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
const MANDATE = 'A mandate that no label, span or log line may hold';

let stage: Stage;
afterEach(() => stage.close());

/** A task of two ticks, submitted under a trace of its caller's, on a gateway and an agent. */
async function runOneTask(env: Readonly<Record<string, string>>, ports = { gateway: '', agent: '' }) {
  stage = await openStage(thinker(2));
  const gateway = await stage.start('gateway', { ...env, METRICS_PORT: ports.gateway });
  const agent = await stage.start('agent', { ...env, METRICS_PORT: ports.agent });
  const api = await stage.api(gateway);
  const response = await api.request('/tasks', {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: `00-${TRACE}-${CALLER}-01` },
    body: JSON.stringify({ mandate: MANDATE, max_ticks: 5 }),
  });
  const { correlation_id: id } = (await response.json()) as { correlation_id: string };
  await eventually('the task ends', async () => (await api.task(id)).status === 'completed');
  return { gateway, agent, api, id, requestId: response.headers.get('x-request-id') };
}

describe('what an operator sees', () => {
  it('is one trace from the request through the queue to each tick and each call of the model', async () => {
    const collector = await startTraceCollector();
    try {
      await runOneTask({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
      const ofTrace = () => collector.spans.filter(({ traceId }) => traceId === TRACE);
      await eventually('all spans', () => ofTrace().some(({ name }) => name === 'task'));
      const one = (name: string): CollectedSpan | undefined => ofTrace().find((span) => span.name === name);
      const [request, task] = [one('POST /tasks'), one('task')];
      expect(request).toMatchObject({ parentSpanId: CALLER, service: 'euglena-gateway' });
      expect(task).toMatchObject({ parentSpanId: request?.spanId, service: 'euglena-agent' });
      const ticks = ofTrace().filter(({ name }) => name === 'tick');
      expect(ticks.map(({ parentSpanId }) => parentSpanId)).toEqual([task?.spanId, task?.spanId]);
      const models = ofTrace().filter(({ name }) => name === 'model');
      expect(models.map(({ parentSpanId }) => parentSpanId).sort()).toEqual(
        ticks.map(({ spanId }) => spanId).sort(),
      );
      expect(collector.text()).not.toContain(MANDATE);
    } finally {
      await collector.close();
    }
  }, 60_000);

  it('loses no task and no time while the collector is away', async () => {
    const { api, id, gateway } = await runOneTask({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });
    expect((await api.task(id)).usage.ticks).toBe(2);
    expect(await gateway.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  }, 60_000);

  it('is counted under labels that do not grow with what users send', async () => {
    const [gatewayPort, agentPort] = [await freePort(), await freePort()];
    const ports = { gateway: String(gatewayPort), agent: String(agentPort) };
    const { api, gateway } = await runOneTask({}, ports);
    await api.request('/no/such/place');
    const figures = async (port: number) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const ofGateway = await figures(gatewayPort);
    expect(ofGateway).toMatch(/euglena_http_requests_total\{method="POST",route="\/tasks",status="202"\} 1/);
    expect(ofGateway).toMatch(/route="\/tasks\/:id",status="200"\}/);
    expect(ofGateway).toMatch(/route="unknown",status="404"\} 1/);
    expect(ofGateway).not.toMatch(/no\/such\/place/);
    const ofAgent = await figures(agentPort);
    expect(ofAgent).toMatch(/euglena_ticks_total\{action="THINK"\} 1/);
    expect(ofAgent).toMatch(/euglena_ticks_total\{action="EXIT"\} 1/);
    expect(ofAgent).toMatch(/euglena_tasks_ended_total\{status="completed"\} 1/);
    expect(ofAgent).toMatch(/euglena_model_tokens_total\{kind="prompt"\} 200/);
    expect((await fetch(`${gateway.url}/metrics`)).status).toBe(404);
  }, 60_000);

  it('is logged with the ids of task, user and request as fields, and without tokens or mandates', async () => {
    const { gateway, agent, id, requestId } = await runOneTask({});
    const linesOf = (output: string) =>
      output
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(linesOf(gateway.output())).toContainEqual(
      expect.objectContaining({
        correlation_id: id,
        user_id: ALICE,
        request_id: requestId,
        msg: 'submitted',
      }),
    );
    const ended = expect.objectContaining({
      correlation_id: id,
      user_id: ALICE,
      msg: 'completed after 2 ticks',
    });
    await eventually('the end is logged', () => agent.output().includes('completed after'));
    expect(linesOf(agent.output())).toContainEqual(ended);
    const logs = linesOf(`${gateway.output()}\n${agent.output()}`).map((line) => JSON.stringify(line));
    expect(logs.filter((line) => line.includes(MANDATE) || line.includes('Bearer'))).toEqual([]);
  }, 60_000);
});
