import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { AwsError } from './aws-error.js';
import { CloudWatchState } from './cloudwatch-state.js';
import { EcsState } from './ecs-state.js';

/** One call of an API, as the server got it. */
export interface AwsCall {
  /** E.g. `PutMetricData`. */
  readonly operation: string;
  readonly input: Record<string, unknown>;
  readonly headers: IncomingHttpHeaders;
}

/** What the server does instead of answering: an error by its name, no answer ever, or a broken connection. */
export type AwsTrouble = { readonly status: number; readonly name: string } | 'hang' | 'cut';

type Operation = (input: never) => object;

/** The services by the prefix of their targets: AWS JSON 1.0 and 1.1, the protocols of the clients in use. */
interface Service {
  readonly signingName: string;
  readonly version: '1.0' | '1.1';
  readonly operations: Readonly<Record<string, Operation>>;
}

const REGION = 'us-east-2';

/**
 * A local server that speaks the wire protocols of Amazon CloudWatch and Amazon ECS for the calls that this project makes,
 * with the services' own rules for what is refused, how datapoints are summed up, and which tasks a service stops.
 *
 * @param now the server's time, epoch ms
 */
export async function startAwsServer(now: () => number = Date.now) {
  const cloudWatch = new CloudWatchState(now);
  const ecs = new EcsState();
  const calls: AwsCall[] = [];
  let trouble: ((call: AwsCall) => AwsTrouble | null) | null = null;
  const services: Record<string, Service> = {
    GraniteServiceVersion20100801: {
      signingName: 'monitoring',
      version: '1.0',
      operations: {
        PutMetricData: (input) => cloudWatch.putMetricData(input),
        GetMetricData: (input) => cloudWatch.getMetricData(input),
      },
    },
    AmazonEC2ContainerServiceV20141113: {
      signingName: 'ecs',
      version: '1.1',
      operations: {
        DescribeServices: (input) => ecs.describeServices(input),
        UpdateService: (input) => ecs.updateService(input),
      },
    },
  };

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.endsWith('/task-protection/v1/state') === true) {
      return protection(request, response);
    }
    const [prefix = '', operation = ''] = String(request.headers['x-amz-target']).split('.');
    const service = services[prefix];
    const run = service?.operations[operation];
    if (service === undefined || run === undefined || request.method !== 'POST' || request.url !== '/') {
      return fail(response, '1.0', new AwsError(400, 'UnknownOperationException', 'no such operation'));
    }
    try {
      checkRequest(request.headers, service);
      const input = JSON.parse(await textOf(request)) as Record<string, unknown>;
      const call = { operation, input, headers: request.headers };
      calls.push(call);
      const wrong = trouble?.(call) ?? null;
      if (wrong === 'hang') return;
      if (wrong === 'cut') return void request.socket.destroy();
      if (wrong !== null) throw new AwsError(wrong.status, wrong.name, 'as the test wishes');
      send(response, 200, service.version, run(input as never));
    } catch (error) {
      fail(
        response,
        service.version,
        error instanceof AwsError ? error : new AwsError(400, 'SerializationException', String(error)),
      );
    }
  };
  /** The ECS agent's own address: plain JSON, unsigned. */
  const protection = async (request: IncomingMessage, response: ServerResponse) => {
    const input = JSON.parse(await textOf(request)) as Record<string, unknown>;
    const call = { operation: `${request.method} TaskProtection`, input, headers: request.headers };
    calls.push(call);
    const wrong = trouble?.(call) ?? null;
    if (wrong === 'hang') return;
    if (wrong === 'cut') return void request.socket.destroy();
    const path = request.url?.slice(0, -'/task-protection/v1/state'.length).replace(/^\/api\//, '') ?? '';
    const { status, body } = ecs.protect(path, input, wrong);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const endpointUrl = `http://127.0.0.1:${port}`;

  return {
    endpointUrl,
    region: REGION,
    cloudWatch,
    ecs,
    /** Every call so far, those that were answered with an error included. */
    calls,
    /** `ECS_AGENT_URI` of a task, by its name. */
    agentUri: (task: string) => `${endpointUrl}/api/${task}`,
    /** The environment of a process that talks to this server. */
    environment: {
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL: endpointUrl,
      AWS_ACCESS_KEY_ID: 'test-key',
      AWS_SECRET_ACCESS_KEY: 'test-secret',
    },
    /** What goes wrong from now on, call by call; null: nothing. */
    disturb: (with_: ((call: AwsCall) => AwsTrouble | null) | null) => void (trouble = with_),
    close: async () => {
      ecs.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export type AwsServer = Awaited<ReturnType<typeof startAwsServer>>;

function checkRequest(headers: IncomingHttpHeaders, { signingName, version }: Service): void {
  const scope = `/${REGION}/${signingName}/aws4_request`;
  if (
    !/^AWS4-HMAC-SHA256 Credential=\S+, ?SignedHeaders=\S+, ?Signature=[0-9a-f]{64}$/.test(
      headers.authorization ?? '',
    )
  ) {
    throw new AwsError(400, 'MissingAuthenticationTokenException', 'the call is not signed');
  }
  if (headers.authorization?.includes(scope) !== true) {
    throw new AwsError(400, 'InvalidSignatureException', `the scope of the signature is not ${scope}`);
  }
  if (headers['content-type'] !== `application/x-amz-json-${version}`) {
    throw new AwsError(400, 'SerializationException', `not the protocol: ${headers['content-type'] ?? ''}`);
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  return (request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString('utf8');
}

function send(response: ServerResponse, status: number, version: string, body: object): void {
  response.writeHead(status, {
    'content-type': `application/x-amz-json-${version}`,
    'x-amzn-requestid': '00000000-0000-4000-8000-000000000000',
  });
  response.end(JSON.stringify(body));
}

function fail(response: ServerResponse, version: string, { status, name, message }: AwsError): void {
  send(response, status, version, { __type: name, message });
}
