import { describe } from '@jest/globals';
import { testDatabase, testPool } from '@cinegraph/testing/database';
import { openPostgresBroker } from '../../src/postgres/broker.js';
import { brokerContract } from '../broker-contract.js';
import { migrations } from './support.js';

describe('the PostgreSQL broker', () => {
  brokerContract(
    async () => {
      const { url, drop } = await testDatabase({ name: 'events', migrations });
      return {
        open: (tools) => openPostgresBroker({ ...tools, url }),
        setPosition: async (group, topic, { partition, offset }) => {
          const pool = testPool(url);
          await pool.query('INSERT INTO group_position VALUES ($1, $2, $3, $4)', [
            ...[group, topic],
            ...[partition, offset],
          ]);
          await pool.end();
        },
        close: drop,
      };
    },
    { oneActiveMember: true },
  );
});
