"""The schema of the history's database, as the scripts that lead from each version to the next."""

from __future__ import annotations

_FIRST = """
CREATE TABLE runs (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  folder TEXT NOT NULL,
  case_name TEXT NOT NULL,
  config TEXT NOT NULL,
  outcome TEXT NOT NULL,
  cause_kind TEXT NOT NULL,
  cause TEXT NOT NULL,
  vllm TEXT NOT NULL,
  environment TEXT NOT NULL,
  device TEXT NOT NULL,
  device_name TEXT NOT NULL,
  hosts TEXT NOT NULL,
  started_at TEXT NOT NULL,
  ended_at TEXT NOT NULL,
  command TEXT NOT NULL,
  git_commit TEXT NOT NULL
);
CREATE INDEX runs_of_case ON runs (case_name, started_at);
CREATE INDEX runs_in_order ON runs (started_at);
CREATE TABLE settings (
  digest TEXT PRIMARY KEY,
  conditions TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE questions (
  digest TEXT PRIMARY KEY,
  content BLOB NOT NULL
);
CREATE TABLE evaluations (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  number INTEGER NOT NULL,
  benchmark TEXT NOT NULL,
  repeat INTEGER NOT NULL,
  started_at TEXT NOT NULL,
  ended_at TEXT NOT NULL,
  settings TEXT,
  questions TEXT NOT NULL,
  n_items INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  missing INTEGER NOT NULL,
  cut INTEGER NOT NULL,
  empty INTEGER NOT NULL,
  problems TEXT NOT NULL,
  PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE TABLE figures (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  number INTEGER NOT NULL,
  position INTEGER NOT NULL,
  metric TEXT NOT NULL,
  value REAL NOT NULL,
  unit TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (run, number, position)
) WITHOUT ROWID;
CREATE TABLE items (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  number INTEGER NOT NULL,
  correct BLOB NOT NULL,
  details BLOB NOT NULL,
  PRIMARY KEY (run, number)
);
CREATE TABLE checks (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  metric TEXT NOT NULL,
  value REAL,
  unit TEXT NOT NULL,
  baseline REAL,
  tolerance TEXT NOT NULL,
  bound REAL,
  operator TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (run, position)
) WITHOUT ROWID;
CREATE TABLE skipped (
  folder TEXT PRIMARY KEY,
  stamp TEXT NOT NULL,
  reason TEXT NOT NULL
) WITHOUT ROWID;
"""

_PURPOSE = "ALTER TABLE runs ADD COLUMN purpose TEXT NOT NULL DEFAULT 'night';"
# The figures of the passes of a benchmark that is asked several times, as JSON.
_RUNS = "ALTER TABLE figures ADD COLUMN runs TEXT NOT NULL DEFAULT '[]';"

# Each script leads from its index to the next version. Never change one that was released: add one.
MIGRATIONS: tuple[str, ...] = (_FIRST, _PURPOSE, _RUNS)
