-- Stands after the Bloom filter's functions and before the commands. It puts functions in their place which note that one of them is
-- running: an error that ends a command meanwhile comes from the filter, and loop.lua says so in its reply.
local bloom_failing = false -- true while one of the functions runs, and after one has raised an error
local function noting(bloom_function)
  return function(one, two, three)
    bloom_failing = true
    local a, b, c = bloom_function(one, two, three)
    bloom_failing = false
    return a, b, c
  end
end
local bloom_check, bloom_add, bloom_which = noting(bloom_check), noting(bloom_add), noting(bloom_which)
