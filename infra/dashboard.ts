import {
  AlarmStatusWidget,
  type Alarm,
  Dashboard,
  GraphWidget,
  type IMetric,
  Metric,
} from 'aws-cdk-lib/aws-cloudwatch';
import { HttpCodeTarget } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { type Function } from 'aws-cdk-lib/aws-lambda';
import { type Construct } from 'constructs';
import { queueMetric } from './alarms.js';
import { type LoadBalancer } from './load-balancer.js';
import { AGENT_SERVICE, CLUSTER, GATEWAY_SERVICE } from './names.js';

/** What Container Insights measures of a service. */
function serviceMetric(serviceName: string, metricName: string, statistic: string): Metric {
  return new Metric({
    namespace: 'ECS/ContainerInsights',
    metricName,
    dimensionsMap: { ClusterName: CLUSTER, ServiceName: serviceName },
    statistic,
    label: `${serviceName} ${metricName}`,
  });
}

export function dashboard(
  scope: Construct,
  { loadBalancer, targetGroup }: LoadBalancer,
  autoscaler: Function,
  alarms: Alarm[],
): void {
  const graph = (title: string, left: IMetric[], right: IMetric[] = []) =>
    new GraphWidget({ title, left, right, width: 12 });
  const services = [GATEWAY_SERVICE, AGENT_SERVICE];
  new Dashboard(scope, 'Dashboard', {
    dashboardName: 'euglena',
    widgets: [
      [new AlarmStatusWidget({ title: 'Alarms', alarms, width: 24 })],
      [
        graph('Work', [
          queueMetric('QueueDepth', 'Average'),
          queueMetric('InFlight', 'Average'),
          queueMetric('BusyWorkers', 'Average'),
          queueMetric('DeadLetters', 'Maximum'),
        ]),
        graph('Agents', [
          serviceMetric(AGENT_SERVICE, 'DesiredTaskCount', 'Average'),
          serviceMetric(AGENT_SERVICE, 'RunningTaskCount', 'Average'),
        ]),
      ],
      [
        graph('Oldest waiting task (s)', [queueMetric('OldestTaskAgeSeconds', 'Maximum')]),
        graph(
          'Autoscaling',
          [autoscaler.metricInvocations(), autoscaler.metricErrors()],
          [autoscaler.metricDuration()],
        ),
      ],
      [
        graph(
          'Requests',
          [
            loadBalancer.metrics.requestCount(),
            loadBalancer.metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT),
          ],
          [targetGroup.metrics.targetResponseTime({ statistic: 'p95' })],
        ),
        graph(
          'CPU and memory',
          services.map((name) => serviceMetric(name, 'CpuUtilized', 'Average')),
          services.map((name) => serviceMetric(name, 'MemoryUtilized', 'Average')),
        ),
      ],
    ],
  });
}
