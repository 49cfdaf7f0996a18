CREATE TABLE account (
  id            text           NOT NULL,
  login         text           NOT NULL COLLATE "C",
  name          text           NOT NULL,
  last_name     text,
  password_hash text           NOT NULL,
  roles         text[]         NOT NULL DEFAULT '{}',
  created_at    timestamptz(3) NOT NULL,
  CONSTRAINT account_pkey PRIMARY KEY (id),
  CONSTRAINT account_login_form CHECK (login ~ '^[a-z0-9][a-z0-9._+@-]{2,63}$'),
  CONSTRAINT account_roles CHECK (roles <@ ARRAY['EDITOR', 'ADMIN'])
);

CREATE UNIQUE INDEX account_login ON account (login);

CREATE TABLE session (
  id         text           NOT NULL,
  account_id text           NOT NULL,
  created_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  CONSTRAINT session_pkey PRIMARY KEY (id),
  CONSTRAINT session_account_id_fkey FOREIGN KEY (account_id) REFERENCES account (id) ON DELETE CASCADE ON UPDATE NO ACTION
);

CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE refresh_token (
  hash       text           NOT NULL COLLATE "C",
  session_id text           NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  used_at    timestamptz(3),
  CONSTRAINT refresh_token_pkey PRIMARY KEY (hash),
  CONSTRAINT refresh_token_session_id_fkey FOREIGN KEY (session_id) REFERENCES session (id) ON DELETE CASCADE ON UPDATE NO ACTION
);

CREATE INDEX refresh_token_session ON refresh_token (session_id);
CREATE INDEX refresh_token_expiry ON refresh_token (expires_at);
-- A session has one token that is not used; two refreshes can never both leave one.
CREATE UNIQUE INDEX refresh_token_unused ON refresh_token (session_id) WHERE used_at IS NULL;

CREATE TABLE signing_key (
  id         text           NOT NULL,
  public_key jsonb          NOT NULL,
  sealed_key bytea          NOT NULL,
  created_at timestamptz(3) NOT NULL,
  signs_from timestamptz(3) NOT NULL,
  CONSTRAINT signing_key_pkey PRIMARY KEY (id)
);

CREATE TABLE deleted_account (
  id         text           NOT NULL,
  deleted_at timestamptz(3) NOT NULL,
  CONSTRAINT deleted_account_pkey PRIMARY KEY (id)
);

CREATE TABLE idempotency (
  viewer_id      text        NOT NULL,
  key            text        NOT NULL,
  operation      text        NOT NULL,
  arguments_hash text        NOT NULL,
  answer         jsonb,
  created_at     timestamptz NOT NULL,
  expires_at     timestamptz NOT NULL,
  CONSTRAINT idempotency_pkey PRIMARY KEY (viewer_id, key)
);

CREATE INDEX idempotency_expiry ON idempotency (expires_at);
