-- The last part of a script whose answers go back to the process that called it, in the script's reply. That is a process that carries out
-- its own commands, or a worker in a Cluster, where the list for an answer may be on another node than the data. loop.lua, which works
-- on the messages, calls these functions; acknowledge-and-push.lua has others in their place.
local function take() return true end -- every message is worked on
local function deliver(_, answer) return answer end -- what stands in the reply for a message
local function refuse() end -- the reply says which command failed, and the caller tells whoever waits
local function finish() end -- there is nothing to send when all messages are done
