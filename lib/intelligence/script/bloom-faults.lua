-- Stands behind the Bloom filter's functions: whether an error comes from them is known by `bloom_failing`.
local bloom_failing = false
local function telling(act)
  return function(one, two, three)
    bloom_failing = true
    local a, b, c = act(one, two, three)
    bloom_failing = false
    return a, b, c
  end
end
local bloom_check, bloom_add, bloom_which = telling(bloom_check), telling(bloom_add), telling(bloom_which)
