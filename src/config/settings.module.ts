import { type DynamicModule, Global, Module } from '@nestjs/common';
import { type Clock } from '../domain/clock.js';
import { type Settings } from './settings.js';

export const SETTINGS = Symbol('Settings');
export const CLOCK = Symbol('Clock');

/** Gives every provider the settings and the clock of this process. Made once, by the boot code. */
@Global()
@Module({})
export class SettingsModule {
  static with(settings: Settings, clock: Clock): DynamicModule {
    return {
      module: SettingsModule,
      providers: [
        { provide: SETTINGS, useValue: settings },
        { provide: CLOCK, useValue: clock },
      ],
      exports: [SETTINGS, CLOCK],
    };
  }
}
