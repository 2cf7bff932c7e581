-- Before an application's command runs: has its subject ended? Else its keys are noted, so that whoever erases the subject finds them.
-- KEYS   own, gone
-- ARGV   [1] as JSON: ttl of the subject's in ms; names and merges of the command's keys; addedMs, as has_ended() takes it
-- Reply  { 'run' }; { 'gone' }; { 'moved', the user's subject }
local own, gone, message = KEYS[1], KEYS[2], messages
local ended, to = has_ended(gone, message)
if ended then return { ended, to } end
note_own(own, message)
return { 'run' }
