-- The ending of a script whose answers go back to the caller, in the reply: an application's own call, and a worker's in a
-- Cluster, where the list that is answered to is another node's.
local function take() return true end
local function deliver(_, answer) return answer end
local function refuse() end
local function finish() end
