import { asText, type Json, type Template } from '../support/aws-templates.js';
import { permissionsOf, rulesOf } from './access.js';

/**
 * The architecture as Mermaid draws it, read from the template: which containers run in which task on which port, who may
 * speak to whom, and what each role may do.
 */
export function diagramOf(template: Template): string {
  const lines = [
    ...task(template, 'GatewayTask', 'GatewayService'),
    ...task(template, 'AgentTask', 'AgentService'),
    `  LoadBalancer["ALB · listens on ${listenerPorts(template)}"]`,
    '  Files[("EFS · encrypted")]',
    '  Lambda["Lambda lambda-autoscaling"]',
    `  Rule["EventBridge ${template.one('AWS::Events::Rule').ScheduleExpression}"] --> Lambda`,
    '  Metrics["CloudWatch Euglena/RabbitMQ"]',
    `  internet(("internet")) -->|"${ports(rulesOf(template, 'LoadBalancerGroup', 'Ingress'), '0.0.0.0/0')}"| LoadBalancer`,
    `  LoadBalancer -->|"${ports(rulesOf(template, 'GatewayGroup', 'Ingress'), 'LoadBalancer')}"| GatewayTask`,
    `  AgentTask -->|"${ports(rulesOf(template, 'GatewayGroup', 'Ingress'), 'Agent')} at ${dnsName(template)}"| GatewayTask`,
    `  GatewayTask -->|"${ports(rulesOf(template, 'AgentGroup', 'Ingress'), 'Gateway')}"| AgentTask`,
    `  AgentTask -->|"${ports(rulesOf(template, 'AgentGroup', 'Egress'), '0.0.0.0/0')}"| web(("models, search, pages"))`,
    `  GatewayTask -->|"${ports(rulesOf(template, 'FilesGroup', 'Ingress'), 'Gateway')}"| Files`,
    ...may(template, 'GatewayTaskRole', 'GatewayTask', 'cloudwatch', 'Metrics'),
    ...may(template, 'LambdaExecutionRole', 'Lambda', 'cloudwatch', 'Metrics'),
    ...may(template, 'LambdaExecutionRole', 'Lambda', 'ecs', 'AgentTask'),
  ];
  return `flowchart LR\n${lines.join('\n')}\n`;
}

function task(template: Template, id: 'GatewayTask' | 'AgentTask', service: string): string[] {
  const { ServiceName, DesiredCount = '1 to 11' } = template.one('AWS::ECS::Service', service);
  const inner = Object.values<Json>(template.containers(id)).map(
    ({ Name, PortMappings }) => `    ${Name}["${Name} :${PortMappings[0].ContainerPort}"]`,
  );
  return [`  subgraph ${id}["${ServiceName} · tasks: ${DesiredCount}"]`, ...inner, '  end'];
}

function listenerPorts(template: Template): string {
  return template
    .properties('AWS::ElasticLoadBalancingV2::Listener')
    .map(({ Port }) => Port)
    .join(', ');
}

/** The ports of the rules with this peer, in their order. */
function ports(rules: readonly string[], peer: string): string {
  const numbers = rules.filter((rule) => rule.endsWith(` ${peer}`)).map((rule) => Number(rule.split(' ')[1]));
  return numbers.sort((a, b) => a - b).join(', ');
}

function dnsName(template: Template): string {
  const { Name, DnsConfig } = template.one('AWS::ServiceDiscovery::Service');
  const namespace = template.one('AWS::ServiceDiscovery::PrivateDnsNamespace');
  const id = template.id('AWS::ServiceDiscovery::PrivateDnsNamespace');
  if (!asText(DnsConfig.NamespaceId).includes(id)) throw new Error('the service is in another namespace');
  return `${Name}.${namespace.Name}`;
}

function may(template: Template, role: string, from: string, service: string, to: string): string[] {
  const actions = permissionsOf(template, role)
    .map((permission) => permission.split(' → ')[0] ?? '')
    .filter((action) => action.startsWith(`${service}:`))
    .map((action) => action.split(':')[1]);
  return actions.length === 0 ? [] : [`  ${from} -.->|"${actions.join(', ')}"| ${to}`];
}
