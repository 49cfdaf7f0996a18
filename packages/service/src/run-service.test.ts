import { describe, expect, it } from '@jest/globals';
import { createLogger } from './logger.js';
import { startParts } from './parts.js';

const logger = createLogger({ name: 'test', level: 'silent' });

const recorder = () => {
  const events: string[] = [];
  const part = (name: string, fault?: 'start' | 'stop') => ({
    name,
    start: async () => {
      if (fault === 'start') throw new Error(`${name} cannot start`);
      events.push(`+${name}`);
    },
    stop: async () => {
      if (fault === 'stop') throw new Error(`${name} cannot stop`);
      events.push(`-${name}`);
    },
  });
  return { events, part };
};

describe('startParts', () => {
  it('starts the parts in order and stops them once, in reverse order', async () => {
    const { events, part } = recorder();
    const service = await startParts([part('a'), part('b')], logger);
    await Promise.all([service.stop(), service.stop()]);
    expect(events).toEqual(['+a', '+b', '-b', '-a']);
  });

  it('stops the parts that have started when a later one fails to start', async () => {
    const { events, part } = recorder();
    await expect(startParts([part('a'), part('b', 'start'), part('c')], logger)).rejects.toThrow(
      'b cannot start',
    );
    expect(events).toEqual(['+a', '-a']);
  });

  it('stops all parts although one of them fails to stop', async () => {
    const { events, part } = recorder();
    const service = await startParts([part('a'), part('b', 'stop'), part('c')], logger);
    await service.stop();
    expect(events).toEqual(['+a', '+b', '+c', '-c', '-a']);
  });
});
