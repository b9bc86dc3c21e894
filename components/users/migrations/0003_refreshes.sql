-- A refresh that is asked for again is answered alike for a moment: the refresh token that is good now is made of the one before it with
-- `secret`, which is another one each time. A version that does not know of it makes tokens of nothing, and leaves a secret that no
-- longer leads to the token that is good now.
-- Statements are separated by empty lines, and each can be repeated.

ALTER TABLE sessions ADD COLUMN secret BLOB;
