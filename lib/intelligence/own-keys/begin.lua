-- Is called before an application's command runs. Unless its subject has ended, the names of the command's keys are noted, so
-- that whoever erases the subject's data finds them.
-- KEYS   own, gone, activity (for end.lua)
-- ARGV   [1] as JSON, in `messages`: ttl of the subject's data in ms; names and merges of the command's keys (note-own.lua);
--        sentMs, for has_ended() (prelude.lua)
-- Reply  { 'run' }: the command may run; { 'gone' }: its subject has ended; { 'moved', the user's subject }: the visitor has logged in
local own, gone, message = KEYS[1], KEYS[2], messages
local ended, to = has_ended(gone, message)
if ended then return { ended, to } end
note_own(own, message)
return { 'run' }
