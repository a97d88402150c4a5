import { Module } from '@nestjs/common';
import { SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { EmbeddedDatabase } from './embedded-database.js';

/** A function, so that the file is opened by the first adapter that needs it and never for a role that needs none. */
export const OPEN_EMBEDDED = Symbol('OpenEmbedded');
export type OpenEmbedded = () => EmbeddedDatabase;

/** The shared handle on the data folder. Closed by the boot code, after every adapter. */
export class EmbeddedDatabaseHandle {
  private database: EmbeddedDatabase | undefined;
  constructor(private readonly dataDir: string) {}

  open(): EmbeddedDatabase {
    this.database ??= EmbeddedDatabase.open(this.dataDir);
    return this.database;
  }

  close(): void {
    this.database?.close();
    this.database = undefined;
  }
}

@Module({
  providers: [
    {
      provide: EmbeddedDatabaseHandle,
      useFactory: (settings: Settings) => new EmbeddedDatabaseHandle(settings.dataDir),
      inject: [SETTINGS],
    },
    {
      provide: OPEN_EMBEDDED,
      useFactory:
        (handle: EmbeddedDatabaseHandle): OpenEmbedded =>
        () =>
          handle.open(),
      inject: [EmbeddedDatabaseHandle],
    },
  ],
  exports: [OPEN_EMBEDDED, EmbeddedDatabaseHandle],
})
export class EmbeddedDatabaseModule {}
