import { Duration } from 'aws-cdk-lib/core';
import {
  Alarm,
  type AlarmProps,
  ComparisonOperator,
  type IMetric,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { HttpCodeTarget } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { type Function } from 'aws-cdk-lib/aws-lambda';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { type Construct } from 'constructs';
import { type DeploymentOptions } from './deployment-options.js';
import { type LoadBalancer } from './load-balancer.js';
import { METRICS_NAMESPACE, QUEUE } from './names.js';

const MINUTE = Duration.minutes(1);

/** A figure that the metrics role puts. */
export function queueMetric(metricName: string, statistic: string): Metric {
  return new Metric({
    namespace: METRICS_NAMESPACE,
    metricName,
    dimensionsMap: { QueueName: QUEUE },
    statistic,
    period: MINUTE,
  });
}

type Wanted = Pick<AlarmProps, 'alarmDescription' | 'threshold' | 'evaluationPeriods'> &
  Readonly<{ metric: IMetric; below?: true; missing?: TreatMissingData }>;

function wanted(
  { backlogAgeSeconds }: DeploymentOptions,
  { loadBalancer, targetGroup }: LoadBalancer,
  autoscaler: Function,
): Record<string, Wanted> {
  const { BREACHING } = TreatMissingData;
  return {
    'backlog-age': {
      alarmDescription: 'The oldest task has waited too long: agents are too few or stuck.',
      metric: queueMetric('OldestTaskAgeSeconds', 'Maximum'),
      threshold: backlogAgeSeconds,
      evaluationPeriods: 3,
    },
    'no-metric-data': {
      alarmDescription: 'The metrics role puts no figures: the autoscaler holds.',
      metric: queueMetric('QueueDepth', 'SampleCount'),
      threshold: 1,
      below: true,
      evaluationPeriods: 5,
      missing: BREACHING,
    },
    'dead-letters': {
      alarmDescription: 'There are messages in the dead-letter queue.',
      metric: queueMetric('DeadLetters', 'Maximum'),
      threshold: 1,
      evaluationPeriods: 1,
    },
    'unhealthy-targets': {
      alarmDescription: 'The gateway fails its health check.',
      metric: targetGroup.metrics.unhealthyHostCount({ statistic: 'Maximum', period: MINUTE }),
      threshold: 1,
      evaluationPeriods: 3,
    },
    'no-healthy-target': {
      alarmDescription: 'There is no gateway. A deployment takes less than this alarm waits.',
      metric: targetGroup.metrics.healthyHostCount({ statistic: 'Minimum', period: MINUTE }),
      threshold: 1,
      below: true,
      evaluationPeriods: 10,
      missing: BREACHING,
    },
    'server-errors': {
      alarmDescription: 'The gateway answers with server errors.',
      metric: loadBalancer.metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT, {
        statistic: 'Sum',
        period: MINUTE,
      }),
      threshold: 5,
      evaluationPeriods: 3,
    },
    'autoscaling-errors': {
      alarmDescription: 'The Lambda function failed: the number of agents stays as it is.',
      metric: autoscaler.metricErrors({ statistic: 'Sum', period: Duration.minutes(5) }),
      threshold: 1,
      evaluationPeriods: 1,
    },
  };
}

/** The alarms, all of which tell one topic. */
export function alarms(
  scope: Construct,
  options: DeploymentOptions,
  balancer: LoadBalancer,
  autoscaler: Function,
): Alarm[] {
  const topic = new Topic(scope, 'Alarms', { displayName: 'Euglena', enforceSSL: true });
  if (options.alarmEmail !== undefined) topic.addSubscription(new EmailSubscription(options.alarmEmail));
  return Object.entries(wanted(options, balancer, autoscaler)).map(([name, { below, missing, ...rest }]) => {
    const alarm = new Alarm(scope, `Alarm-${name}`, {
      ...rest,
      alarmName: `euglena-${name}`,
      comparisonOperator: below
        ? ComparisonOperator.LESS_THAN_THRESHOLD
        : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: missing ?? TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new SnsAction(topic));
    alarm.addOkAction(new SnsAction(topic));
    return alarm;
  });
}
