-- Is called after an application's command has run. Its keys get the expiry of the subject's data; where the subject has ended meanwhile, they
-- are removed.
-- KEYS   own, gone, activity
-- ARGV   [1] as JSON: what begin.lua takes; isUser: is the subject a user
-- Reply  { 'kept' }; { 'gone' }: the keys are removed; { 'moved', the user's subject }: the visitor has logged in, and the keys are to be
--        carried to the user
local own, gone, message = KEYS[1], KEYS[2], messages
local ended, to = has_ended(gone, message)
if ended == 'gone' then
  -- each key by a command of its own: an ACL may allow each of them in another selector
  for _, name in ipairs(message.names) do redis.call('UNLINK', own .. ':' .. name) end
  return { ended }
end
note_own(own, message) -- the command may have run for longer than the names were kept
if message.isUser then
  local keep_ms = kept_with(own, KEYS[3], message.ttl)
  keep_own(own, keep_ms, keep_ms) -- leaves alone what lives longer
else
  keep_own(own, message.ttl, kept_for(message.ttl))
end
return { ended or 'kept', to }
