-- In the script this file stands after the Bloom filter's functions and before the commands, which then call the functions that
-- it makes. These note that a function of the filter is running: if an error ends a command meanwhile, loop.lua replies that
-- the filter has failed.
local bloom_failing = false -- true while one of the functions runs, and after one has raised an error
local function noting(bloom_function)
  return function(one, two, three)
    bloom_failing = true
    local a, b, c = bloom_function(one, two, three)
    bloom_failing = false
    return a, b, c
  end
end
local bloom_check, bloom_add = noting(bloom_check), noting(bloom_add)
local bloom_which, bloom_count = noting(bloom_which), noting(bloom_count)
