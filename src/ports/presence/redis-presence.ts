import { WORKER_STATES, type WorkerPresence } from '../../domain/presence.js';
import { type RedisConnection, type RedisScript } from '../redis/redis-connection.js';
import { type Presence } from './presence.port.js';

/** `workers:status`: a set of ids. `worker:agent:<id>`: what a worker says, as JSON, until it stops saying it. */
const BEAT = `
redis.call('SET', ARGV[1] .. 'worker:agent:' .. ARGV[2], ARGV[3], 'PX', ARGV[4])
redis.call('SADD', ARGV[1] .. 'workers:status', ARGV[2])
return 0`;

const LEAVE = `
redis.call('DEL', ARGV[1] .. 'worker:agent:' .. ARGV[2])
redis.call('SREM', ARGV[1] .. 'workers:status', ARGV[2])
return 0`;

/** Answers id and JSON of each live worker in turn. */
const LIST = `
local live = {}
for _, id in ipairs(redis.call('SMEMBERS', ARGV[1] .. 'workers:status')) do
  local said = redis.call('GET', ARGV[1] .. 'worker:agent:' .. id)
  if said then
    live[#live + 1] = id
    live[#live + 1] = said
  else
    redis.call('SREM', ARGV[1] .. 'workers:status', id)
  end
end
return live`;

/** Presence in Redis, for workers on any host. */
export class RedisPresence implements Presence {
  private readonly scripts: Readonly<Record<'beat' | 'leave' | 'list', RedisScript>>;

  constructor(private readonly connection: RedisConnection) {
    this.scripts = {
      beat: connection.script('presenceBeat', BEAT),
      leave: connection.script('presenceLeave', LEAVE),
      list: connection.script('presenceList', LIST),
    };
  }

  async beat(worker: WorkerPresence, ttlMs: number): Promise<void> {
    await this.scripts.beat(worker.workerId, JSON.stringify(presenceToJson(worker)), Math.ceil(ttlMs));
  }

  async leave(workerId: string): Promise<void> {
    await this.scripts.leave(workerId);
  }

  async list(): Promise<readonly WorkerPresence[]> {
    const answer = (await this.scripts.list()) as string[];
    const workers: WorkerPresence[] = [];
    for (let at = 0; at < answer.length; at += 2) {
      workers.push(presenceFromText(answer[at] ?? '', answer[at + 1] ?? ''));
    }
    return workers.sort((a, b) => (a.workerId < b.workerId ? -1 : 1));
  }

  ping(): Promise<void> {
    return this.connection.ping();
  }

  async close(): Promise<void> {
    // Holds neither timers nor subscriptions.
  }
}

function presenceToJson({ workerId, startedAt, ...rest }: WorkerPresence) {
  return { worker_id: workerId, ...rest, started_at: new Date(startedAt).toISOString() };
}

/** A worker of another make lives too, whatever it says of itself. */
function presenceFromText(workerId: string, text: string): WorkerPresence {
  const said = readFields(text);
  const count = (value: unknown) => (typeof value === 'number' && value >= 0 ? value : 0);
  const startedAt = typeof said.started_at === 'string' ? Date.parse(said.started_at) : NaN;
  return {
    workerId,
    state: WORKER_STATES.find((known) => known === said.state) ?? 'free',
    running: count(said.running),
    capacity: count(said.capacity),
    pid: count(said.pid),
    startedAt: Number.isNaN(startedAt) ? 0 : startedAt,
  };
}

function readFields(text: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
