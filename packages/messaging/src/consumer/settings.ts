import type pg from 'pg';

/** The variables that an operator sets for a consumer, by name; undefined if one is not set. No secrets. */
export type ConsumerSettings = Readonly<Record<string, string | undefined>>;

/** The settings with which a consumer was started last, and when. */
export interface RecordedSettings {
  readonly settings: ConsumerSettings;
  readonly startedAt: Date;
}

/** Stores the settings of a consumer that starts now; they replace those of its last start. */
export const recordSettings = async (
  pool: pg.Pool,
  consumer: string,
  settings: ConsumerSettings,
): Promise<void> => {
  const stored = Object.entries(settings).map(([name, value]) => [name, value ?? null] as const);
  await pool.query(
    `INSERT INTO messaging.consumer_settings (consumer, settings, started_at) VALUES ($1, $2, now())
     ON CONFLICT (consumer) DO UPDATE SET settings = excluded.settings, started_at = excluded.started_at`,
    [consumer, JSON.stringify(Object.fromEntries(stored))],
  );
};

/** Returns the settings of all consumers that were started on this database, by the consumer's name. */
export const readRecordedSettings = async (pool: pg.Pool): Promise<ReadonlyMap<string, RecordedSettings>> => {
  const { rows } = await pool.query<{
    consumer: string;
    settings: Readonly<Record<string, string | null>>;
    started_at: Date;
  }>('SELECT consumer, settings, started_at FROM messaging.consumer_settings');
  return new Map(
    rows.map(({ consumer, settings, started_at: startedAt }) => [
      consumer,
      {
        settings: Object.fromEntries(
          Object.entries(settings).map(([name, value]) => [name, value ?? undefined]),
        ),
        startedAt,
      },
    ]),
  );
};
