import { describe, expect, it } from '@jest/globals';
import { translateLine } from './explain-error.js';

describe('translateLine', () => {
  it.each([
    ['Connection error: connect ECONNREFUSED 127.0.0.1:9092', 'a Kafka broker cannot be reached'],
    [
      'Failed to connect to seed broker, trying another broker from the list: Connection timeout',
      'a Kafka broker cannot be reached',
    ],
    ['The group is rebalancing, re-joining', 'the consumer group distributes its partitions again'],
    ['Crash: KafkaJSConnectionError: Closed connection', 'the consumer lost its group or its connection'],
    ['Restarting the consumer in 300ms', 'the consumer is started again'],
  ])('says what a line of kafkajs means: %s', (line, sentence) => {
    expect(translateLine(line)).toBe(sentence);
  });

  it('quotes a line that it does not know', () => {
    expect(translateLine('Something new')).toBe('the Kafka client reports: Something new');
  });
});
