import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { type Row, type SupabaseDatabase } from './supabase-database.js';

export const SERVICE_KEY = 'service-role-key-of-the-test-project';
export const ANON_KEY = 'anon-key-of-the-test-project';
const ROLE_OF_KEY = new Map([
  [SERVICE_KEY, 'service_role'],
  [ANON_KEY, 'anon'],
]);

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** One call of a function, as it came in. */
export interface FunctionCall {
  readonly name: string;
  readonly given: Readonly<Row>;
  /** Carries it out: when the answer is there, the transaction is committed or rolled back. */
  run(): Promise<Answer>;
}

/** How a call is treated otherwise than it should be. `drop`: the connection ends without an answer. */
export type Treatment = (call: FunctionCall) => Promise<Answer | 'drop'>;

/** The part of a Supabase project's address that calls functions: the API gateway's check of keys, and PostgREST. */
export interface PostgrestServer {
  readonly url: string;
  /** The names of the functions that were called so far. */
  readonly called: readonly string[];
  /** From now on calls are treated so; null: as they should be. */
  treat(treatment: Treatment | null): void;
  /** Nothing listens at the address any more, until `start`. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startPostgrest(database: SupabaseDatabase): Promise<PostgrestServer> {
  const schema = await readSchema(database);
  const called: string[] = [];
  let treatment: Treatment | null = null;
  let port = 0;
  const http = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await textOf(request);
    const key = request.headers.apikey;
    const role = typeof key === 'string' ? ROLE_OF_KEY.get(key) : undefined;
    if (role === undefined || request.headers.authorization !== `Bearer ${String(key)}`) {
      return send(response, { status: 401, body: '{"message":"Invalid API key","hint":"Double check it."}' });
    }
    const name = /^\/rest\/v1\/rpc\/(\w+)$/.exec(request.url ?? '')?.[1];
    if (name === undefined || request.method !== 'POST')
      return send(response, failure(404, 'PGRST125', 'Invalid path'));
    const given = JSON.parse(body) as Row;
    called.push(name);
    const names = (of: object) => Object.keys(of).sort().join();
    const known = schema.find((one) => one.name === name && names(one.types) === names(given));
    const run = async () => {
      if (known === undefined) return failure(404, 'PGRST202', `Could not find the function public.${name}`);
      return callFunction(database, known, role, given);
    };
    const answer = treatment === null ? await run() : await treatment({ name, given, run });
    if (answer === 'drop') response.destroy();
    else send(response, answer);
  };
  const start = async () => {
    http.listen(port, '127.0.0.1');
    await once(http, 'listening');
    port = (http.address() as AddressInfo).port;
  };
  await start();
  return {
    url: `http://127.0.0.1:${port}`,
    called,
    treat: (next) => void (treatment = next),
    start,
    stop: async () => {
      const closed = once(http, 'close');
      http.close();
      http.closeAllConnections();
      await closed;
    },
  };
}

/** An error as PostgREST words it. */
export function failure(status: number, code: string, message: string): Answer {
  return { status, body: JSON.stringify({ code, message, details: null, hint: null }) };
}

function send(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(body);
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

interface Signature {
  readonly name: string;
  readonly many: boolean;
  readonly nothing: boolean;
  /** The type of each argument by its name. */
  readonly types: Readonly<Record<string, string>>;
}

/** The functions of the exposed schema: PostgREST's schema cache. */
async function readSchema(database: SupabaseDatabase): Promise<Signature[]> {
  const sql = `
    select p.proname as name, p.proretset as many, p.prorettype = 'void'::regtype as nothing, a.types
    from pg_proc p, lateral (
      select coalesce(json_object_agg(p.proargnames[n], format_type(p.proargtypes[n - 1], null)), '{}') as types
      from generate_series(1, p.pronargs) n
    ) a
    where p.pronamespace = 'public'::regnamespace`;
  return (await database.transaction((query) => query(sql))) as unknown as Signature[];
}

/** Calls a function in a transaction of its own, as a role. */
async function callFunction(
  database: SupabaseDatabase,
  { name, many, nothing, types }: Signature,
  role: string,
  given: unknown,
): Promise<Answer> {
  const columns = Object.entries(types).map(([argument, type]) => `${argument} ${type}`);
  const passed = Object.keys(types).map((argument) => `${argument} => a.${argument}`);
  // Rows as Postgres itself writes them in JSON, which is how PostgREST answers.
  const sql = `select to_json(r) as row from json_to_record($1::json) as a(${columns.join()}),
    lateral public.${name}(${passed.join()}) r`;
  try {
    const rows = await database.transaction(async (query) => {
      await query(`set local role ${role}`);
      return (await query(sql, [JSON.stringify(given)])).map(({ row }) => row as Row);
    });
    if (nothing) return { status: 204, body: '' };
    return { status: 200, body: JSON.stringify(many ? rows : rows[0]) };
  } catch (error) {
    const { code = 'XX000', message } = error as { code?: string; message: string };
    return failure(statusOf(code, role), code, message);
  }
}

/** https://docs.postgrest.org/en/stable/references/errors.html */
function statusOf(code: string, role: string): number {
  if (code === '42501') return role === 'anon' ? 401 : 403;
  if (code === '42883') return 404;
  return /^(08|40|53|54|55|57|58|F0|XX)/.test(code) ? 500 : 400;
}
