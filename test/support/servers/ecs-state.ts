import { AwsError } from './aws-error.js';

type TaskStatus = 'PENDING' | 'RUNNING';

interface Task {
  readonly name: string;
  status: TaskStatus;
  protected: boolean;
}

interface ServiceState {
  status: 'ACTIVE' | 'DRAINING' | 'INACTIVE';
  desired: number;
  readonly tasks: Task[];
}

/** Services and their tasks as ECS runs them: it starts what is missing, and stops what is too much unless it is protected. */
export class EcsState {
  private readonly services = new Map<string, ServiceState>();
  private readonly timers = new Set<NodeJS.Timeout>();
  /** Tasks stay pending for ever while this is true. */
  stuck = false;
  private names = 0;

  create(cluster: string, service: string, desired = 0): void {
    this.services.set(`${cluster}/${service}`, { status: 'ACTIVE', desired, tasks: [] });
    this.schedule();
  }

  setStatus(cluster: string, service: string, status: ServiceState['status']): void {
    this.of(cluster, service).status = status;
  }

  /** Names of the tasks that run. */
  running(cluster: string, service: string): string[] {
    return this.of(cluster, service).tasks.flatMap(({ name, status }) =>
      status === 'RUNNING' ? [name] : [],
    );
  }

  /** Ends a task as a crash of its container would. */
  kill(task: string): void {
    for (const { tasks } of this.services.values()) remove(tasks, (one) => one.name === task);
    this.schedule();
  }

  describeServices({ cluster, services }: { cluster: string; services: readonly string[] }): object {
    if (![...this.services.keys()].some((key) => key.startsWith(`${cluster}/`))) {
      throw new AwsError(400, 'ClusterNotFoundException', 'Cluster not found.');
    }
    const arn = (service: string) => `arn:aws:ecs:us-east-2:012345678910:service/${cluster}/${service}`;
    const known = services.filter((service) => this.services.has(`${cluster}/${service}`));
    return {
      services: known.map((service) => {
        const { status, desired, tasks } = this.of(cluster, service);
        const count = (wanted: TaskStatus) => tasks.filter((task) => task.status === wanted).length;
        return {
          serviceArn: arn(service),
          serviceName: service,
          status,
          desiredCount: desired,
          runningCount: count('RUNNING'),
          pendingCount: count('PENDING'),
        };
      }),
      failures: services
        .filter((service) => !known.includes(service))
        .map((service) => ({ arn: arn(service), reason: 'MISSING' })),
    };
  }

  updateService(input: { cluster: string; service: string; desiredCount: number }): object {
    const state = this.services.get(`${input.cluster}/${input.service}`);
    if (state === undefined) throw new AwsError(400, 'ServiceNotFoundException', 'Service not found.');
    if (state.status !== 'ACTIVE')
      throw new AwsError(400, 'ServiceNotActiveException', 'Service was not ACTIVE.');
    state.desired = input.desiredCount;
    this.schedule();
    return { service: { serviceName: input.service, status: state.status, desiredCount: state.desired } };
  }

  /** What the ECS agent answers to `PUT …/task-protection/v1/state`. */
  protect(
    taskName: string,
    input: Record<string, unknown>,
    wrong: { readonly status: number; readonly name: string } | null,
  ): { status: number; body: object } {
    const TaskArn = `arn:aws:ecs:us-east-2:012345678910:task/${taskName}`;
    const { ProtectionEnabled, ExpiresInMinutes } = input;
    if (wrong?.name === 'DEPLOYMENT_BLOCKED') {
      return { status: 200, body: { failure: { Arn: TaskArn, Reason: wrong.name, Detail: null } } };
    }
    const minutesAreWrong =
      ExpiresInMinutes !== undefined &&
      !(
        Number.isInteger(ExpiresInMinutes) &&
        Number(ExpiresInMinutes) >= 1 &&
        Number(ExpiresInMinutes) <= 2_880
      );
    if (wrong !== null || typeof ProtectionEnabled !== 'boolean' || minutesAreWrong) {
      const error = { Arn: TaskArn, Code: wrong?.name ?? 'InvalidParameterException', Message: 'refused' };
      return { status: wrong?.status ?? 400, body: { error } };
    }
    for (const { tasks } of this.services.values()) {
      for (const task of tasks) if (task.name === taskName) task.protected = ProtectionEnabled;
    }
    this.schedule();
    return {
      status: 200,
      body: {
        protection: {
          ProtectionEnabled,
          TaskArn,
          ...(ProtectionEnabled ? { ExpirationDate: '2026-01-15T14:00:00Z' } : {}),
        },
      },
    };
  }

  close(): void {
    this.timers.forEach((timer) => clearTimeout(timer));
  }

  private of(cluster: string, service: string): ServiceState {
    const state = this.services.get(`${cluster}/${service}`);
    if (state === undefined) throw new Error(`the test made no service ${cluster}/${service}`);
    return state;
  }

  /** Starts and stops tasks a moment later, as the service's scheduler does. */
  private schedule(): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      for (const state of this.services.values()) this.settle(state);
    }, 5);
    this.timers.add(timer);
  }

  private settle(state: ServiceState): void {
    const { tasks, desired } = state;
    const surplus = tasks.length - desired;
    const idle = tasks.filter((task) => !task.protected).slice(0, Math.max(0, surplus));
    remove(tasks, (task) => idle.includes(task));
    if (!this.stuck) tasks.forEach((task) => (task.status = 'RUNNING'));
    for (let missing = desired - tasks.length; missing > 0; missing -= 1) {
      this.names += 1;
      tasks.push({ name: `task-${this.names}`, status: 'PENDING', protected: false });
      this.schedule();
    }
  }
}

function remove<T>(list: T[], which: (one: T) => boolean): void {
  for (let index = list.length - 1; index >= 0; index -= 1) {
    const one = list[index];
    if (one !== undefined && which(one)) list.splice(index, 1);
  }
}
