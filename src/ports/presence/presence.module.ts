import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK } from '../../config/settings.module.js';
import { type Clock } from '../../domain/clock.js';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { PRESENCE, type Presence } from './presence.port.js';
import { SqlitePresence } from './sqlite-presence.js';

@Module({
  imports: [EmbeddedDatabaseModule],
  providers: [
    {
      provide: PRESENCE,
      useFactory: (open: OpenEmbedded, clock: Clock): Presence => new SqlitePresence(open(), clock),
      inject: [OPEN_EMBEDDED, CLOCK],
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
