import { type AddressInfo } from 'node:net';
import { type DynamicModule, Global, type LoggerService, Module } from '@nestjs/common';
import { type NestFastifyApplication } from '@nestjs/platform-fastify';
import { HEALTH_CHECKS, type HealthCheck } from '../../src/boot/health.service.js';
import { HealthModule } from '../../src/boot/health.module.js';
import { createHttpApp } from '../../src/boot/http-server.js';
import { SettingsModule } from '../../src/config/settings.module.js';
import { type Environment, readSettings } from '../../src/config/settings.js';
import { systemClock } from '../../src/config/system-clock.js';
import { type Clock } from '../../src/domain/clock.js';
import { GatewayModule } from '../../src/gateway/gateway.module.js';
import {
  EmbeddedDatabaseHandle,
  EmbeddedDatabaseModule,
} from '../../src/ports/embedded/embedded-database.module.js';
import { issueLocalToken } from '../../src/ports/identity/local-secret.js';
import { temporaryDataDir } from './data-dir.js';

@Global()
@Module({})
class ChecksModule {
  static with(checks: readonly HealthCheck[]): DynamicModule {
    return {
      module: ChecksModule,
      providers: [{ provide: HEALTH_CHECKS, useValue: checks }],
      exports: [HEALTH_CHECKS],
    };
  }
}

@Module({})
class RootModule {}

const silent: LoggerService = { log: () => undefined, warn: () => undefined, error: () => undefined };

export interface GatewayApp {
  readonly app: NestFastifyApplication;
  readonly dataDir: string;
  readonly port: number;
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  token(subject: string): Promise<string>;
  close(): Promise<void>;
}

/** A gateway on the embedded adapters that listens on a free loopback port. */
export async function startGateway({
  env = {},
  clock = systemClock,
  checks = [],
  logger = silent,
}: {
  env?: Environment;
  clock?: Clock;
  checks?: readonly HealthCheck[];
  logger?: LoggerService;
} = {}): Promise<GatewayApp> {
  const dataDir = temporaryDataDir();
  const settings = readSettings({ EUGLENA_ROLE: 'gateway', EUGLENA_DATA_DIR: dataDir.path, ...env });
  const imports = [
    SettingsModule.with(settings, clock),
    EmbeddedDatabaseModule,
    GatewayModule,
    ChecksModule.with(checks),
    HealthModule,
  ];
  const app = await createHttpApp({ module: RootModule, imports }, settings, logger);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return {
    app,
    dataDir: dataDir.path,
    port,
    origin: `http://127.0.0.1:${port}`,
    token: (subject) => issueLocalToken({ dataDir: dataDir.path, subject, ttlSeconds: 3_600, clock }),
    close: async () => {
      const database = app.get(EmbeddedDatabaseHandle, { strict: false });
      await app.close();
      database.close();
      dataDir.remove();
    },
  };
}
