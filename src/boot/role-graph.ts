import { type DynamicModule, Global, Module, type Type } from '@nestjs/common';
import { AgentModule } from '../agent/agent.module.js';
import { Autoscaler } from '../autoscaler/autoscaler.js';
import { AutoscalerModule } from '../autoscaler/autoscaler.module.js';
import { portsOf } from '../config/adapter-choice.js';
import { SettingsModule } from '../config/settings.module.js';
import { type Part, type PortName, type Role } from '../config/known-settings.js';
import { type Settings } from '../config/settings.js';
import { type Clock } from '../domain/clock.js';
import { GatewayModule } from '../gateway/gateway.module.js';
import { DepthSampler } from '../metrics/depth-sampler.js';
import { MetricsModule } from '../metrics/metrics.module.js';
import { AgentMemoryModule } from '../ports/agent-memory/agent-memory.module.js';
import { AGENT_MEMORY } from '../ports/agent-memory/agent-memory.port.js';
import { EmbeddedDatabaseModule } from '../ports/embedded/embedded-database.module.js';
import { FleetMetricsModule } from '../ports/fleet-metrics/fleet-metrics.module.js';
import { FLEET_METRICS } from '../ports/fleet-metrics/fleet-metrics.port.js';
import { FleetModule } from '../ports/fleet/fleet.module.js';
import { FLEET } from '../ports/fleet/fleet.port.js';
import { IdentityModule } from '../ports/identity/identity.module.js';
import { IDENTITY } from '../ports/identity/identity.port.js';
import { LanguageModelModule } from '../ports/language-model/language-model.module.js';
import { LANGUAGE_MODEL } from '../ports/language-model/language-model.port.js';
import { PresenceModule } from '../ports/presence/presence.module.js';
import { PRESENCE } from '../ports/presence/presence.port.js';
import { QuotaModule } from '../ports/quota/quota.module.js';
import { QUOTA } from '../ports/quota/quota.port.js';
import { TaskStoreModule } from '../ports/task-store/task-store.module.js';
import { TASK_STORE } from '../ports/task-store/task-store.port.js';
import { WebSearchModule } from '../ports/web-search/web-search.module.js';
import { WEB_SEARCH } from '../ports/web-search/web-search.port.js';
import { WorkQueueModule } from '../ports/work-queue/work-queue.module.js';
import { WORK_QUEUE } from '../ports/work-queue/work-queue.port.js';
import { HealthModule } from './health.module.js';
import { HEALTH_CHECKS, type HealthCheck } from './health.service.js';

/** The only composition table: which feature module each part of a process is. */
const FEATURES: Record<Part, Type> = {
  gateway: GatewayModule,
  agent: AgentModule,
  metrics: MetricsModule,
  autoscaler: AutoscalerModule,
};

const PORTS: Record<PortName, { readonly module: Type; readonly token: symbol }> = {
  'task-store': { module: TaskStoreModule, token: TASK_STORE },
  'work-queue': { module: WorkQueueModule, token: WORK_QUEUE },
  presence: { module: PresenceModule, token: PRESENCE },
  'agent-memory': { module: AgentMemoryModule, token: AGENT_MEMORY },
  identity: { module: IdentityModule, token: IDENTITY },
  quota: { module: QuotaModule, token: QUOTA },
  'language-model': { module: LanguageModelModule, token: LANGUAGE_MODEL },
  'web-search': { module: WebSearchModule, token: WEB_SEARCH },
  'fleet-metrics': { module: FleetMetricsModule, token: FLEET_METRICS },
  fleet: { module: FleetModule, token: FLEET },
};

/** What a sidecar is there for is part of its health: that it sees, and that it is heard. */
const OWN_CHECKS: Partial<Record<Role, { readonly module: Type; readonly token: Type }>> = {
  metrics: { module: MetricsModule, token: DepthSampler },
  autoscaler: { module: AutoscalerModule, token: Autoscaler },
};

/** The ports of a role are its health, and a sidecar's work: the process is ready while each of them answers. */
@Global()
@Module({})
class RoleHealthModule {
  static of(settings: Settings): DynamicModule {
    const { role } = settings;
    const ports = portsOf(settings).map((name) => ({ name, ...PORTS[name] }));
    const own = OWN_CHECKS[role];
    const components = own === undefined ? ports : [...ports, { name: role, ...own }];
    const checks = {
      provide: HEALTH_CHECKS,
      useFactory: (...parts: { ping(): Promise<void> }[]): HealthCheck[] =>
        parts.map((part, index) => ({ name: components[index]?.name ?? '', ping: () => part.ping() })),
      inject: components.map(({ token }) => token),
    };
    return {
      module: RoleHealthModule,
      imports: components.map(({ module }) => module),
      providers: [checks],
      exports: [HEALTH_CHECKS],
    };
  }
}

@Module({})
class RootModule {}

/** The module graph of a role: its features, the ports that they need, and nothing else. */
export function rootModule(settings: Settings, clock: Clock): DynamicModule {
  return {
    module: RootModule,
    imports: [
      SettingsModule.with(settings, clock),
      EmbeddedDatabaseModule,
      ...settings.parts.map((part) => FEATURES[part]),
      RoleHealthModule.of(settings),
      HealthModule,
    ],
  };
}
