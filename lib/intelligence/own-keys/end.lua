-- Is called after an application's command has run. Its keys get the expiry of the subject's data; where the subject has ended meanwhile, they
-- are removed.
-- KEYS   own, gone
-- ARGV   [1] as JSON: what begin.lua takes
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
keep_own(own, message.ttl, kept_for(message.ttl))
return { ended or 'kept', to }
