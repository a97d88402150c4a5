import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { RedisConnection } from './redis-connection.js';

/** A function, so that a process connects when its first adapter needs Redis, and never if none does. */
export const OPEN_REDIS = Symbol('OpenRedis');
export type OpenRedis = () => RedisConnection;

/** The one connection that the adapters of a process share. */
class RedisHandle {
  private connection: RedisConnection | undefined;
  constructor(private readonly url: string | null) {}

  open(): RedisConnection {
    if (this.url === null) throw new Error('An adapter for Redis was chosen without REDIS_URL.');
    this.connection ??= new RedisConnection(this.url);
    return this.connection;
  }

  close(): void {
    this.connection?.close();
    this.connection = undefined;
  }
}

@Module({
  providers: [
    {
      provide: RedisHandle,
      useFactory: (settings: Settings) => new RedisHandle(settings.redisUrl),
      inject: [SETTINGS],
    },
    {
      provide: OPEN_REDIS,
      useFactory:
        (handle: RedisHandle): OpenRedis =>
        () =>
          handle.open(),
      inject: [RedisHandle],
    },
  ],
  exports: [OPEN_REDIS],
})
export class RedisModule implements OnApplicationShutdown {
  constructor(@Inject(RedisHandle) private readonly handle: RedisHandle) {}

  /** Runs after the port modules' own, which import this one. */
  onApplicationShutdown(): void {
    this.handle.close();
  }
}
