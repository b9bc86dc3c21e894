-- Dead letters, to be counted: they stay until somebody sees to them.
CREATE INDEX IF NOT EXISTS held_dead ON held (consumer, position) WHERE state = 'dead';
