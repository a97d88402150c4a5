import { afterEach, beforeEach, describe } from '@jest/globals';
import { workQueueCrashes, workQueueDurability } from './work-queue.crashes.js';
import { workQueueDelivery, workQueueSharing } from './work-queue.delivery.js';
import { workQueueDepth } from './work-queue.depth.js';
import { workQueueFailures, workQueueSettling } from './work-queue.settling.js';
import { Scene, type WorkQueueHarness } from './work-queue.harness.js';

/** What every work queue must do, whichever engine carries it. */
export function workQueueContract(name: string, open: () => Promise<WorkQueueHarness>): void {
  describe(`work queue on ${name}`, () => {
    let scene: Scene;
    beforeEach(async () => {
      scene = new Scene(await open());
    });
    afterEach(() => scene.harness.close());

    describe('delivery', () => workQueueDelivery(() => scene));
    describe('sharing', () => workQueueSharing(() => scene));
    describe('settling', () => workQueueSettling(() => scene));
    describe('failed deliveries', () => workQueueFailures(() => scene));
    describe('crashes', () => workQueueCrashes(() => scene));
    describe('durability', () => workQueueDurability(() => scene));
    describe('depth and closing', () => workQueueDepth(() => scene));
  });
}
