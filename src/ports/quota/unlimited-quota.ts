import { Logger } from '@nestjs/common';
import { type Clock } from '../../domain/clock.js';
import { quotaUsage, type QuotaUsage } from '../../domain/quota.js';
import { type OpenReservation, type Quota, type Reservation } from './quota.port.js';

/** `GATEWAY_TEST_MODE`: every reservation is granted and nothing is counted. Says so loudly at start. */
export class UnlimitedQuota implements Quota {
  constructor(
    private readonly clock: Clock,
    private readonly dailyLimit: number,
  ) {
    new Logger('Quota').warn(
      'GATEWAY_TEST_MODE IS ON: NO QUOTA IS ENFORCED. NEVER RUN A PUBLIC GATEWAY LIKE THIS.',
    );
  }

  async reserve(owner: string, _correlationId: string, ticks: number): Promise<Reservation> {
    return { kind: 'reserved', ticks, usage: await this.usage(owner) };
  }

  async settle(): Promise<void> {
    // Nothing was reserved.
  }

  async usage(_owner: string): Promise<QuotaUsage> {
    return quotaUsage(this.dailyLimit, 0, this.clock.now());
  }

  async unsettled(): Promise<readonly OpenReservation[]> {
    return [];
  }

  async ping(): Promise<void> {
    // There is no engine.
  }

  async close(): Promise<void> {
    // There is nothing to close.
  }
}
