import { describe, expect, it } from '@jest/globals';
import { chooseAdapter, forbiddenFallbacks, portsOf } from './adapter-choice.js';
import { readSettings } from './settings.js';

describe('the ports of a role', () => {
  it('are those that its graph holds', () => {
    expect(portsOf('autoscaler')).toEqual(['presence', 'fleet-metrics', 'fleet']);
    expect(portsOf('agent')).not.toContain('quota');
    for (const role of ['gateway', 'agent', 'metrics', 'autoscaler'] as const) {
      expect(portsOf('all')).toEqual(expect.arrayContaining([...portsOf(role)]));
    }
  });
});

describe('the adapter of the quota', () => {
  it.each([
    ['false', 'SQLite'],
    ['true', 'none (GATEWAY_TEST_MODE)'],
  ])('is embedded with GATEWAY_TEST_MODE=%s: %s', (testMode, adapter) => {
    const settings = readSettings({ GATEWAY_TEST_MODE: testMode });
    expect(chooseAdapter('quota', settings)).toEqual({ adapter, embedded: true });
    expect(forbiddenFallbacks({ ...settings, role: 'gateway', production: true })).toContain('quota');
  });
});
