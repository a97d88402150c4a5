import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { OPEN_REDIS, type OpenRedis, RedisModule } from '../redis/redis.module.js';
import { PRESENCE, type Presence } from './presence.port.js';
import { RedisPresence } from './redis-presence.js';
import { SqlitePresence } from './sqlite-presence.js';

@Module({
  imports: [EmbeddedDatabaseModule, RedisModule],
  providers: [
    {
      provide: PRESENCE,
      useFactory: (
        openEmbedded: OpenEmbedded,
        openRedis: OpenRedis,
        clock: Clock,
        settings: Settings,
      ): Presence =>
        settings.redisUrl === null
          ? new SqlitePresence(openEmbedded(), clock)
          : new RedisPresence(openRedis()),
      inject: [OPEN_EMBEDDED, OPEN_REDIS, CLOCK, SETTINGS],
    },
  ],
  exports: [PRESENCE],
})
export class PresenceModule implements OnApplicationShutdown {
  constructor(@Inject(PRESENCE) private readonly presence: Presence) {}

  onApplicationShutdown(): Promise<void> {
    return this.presence.close();
  }
}
