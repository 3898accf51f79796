-- Looks at some keys of the chosen database: the next cursor, then a line for each key: the beginning of a digest of its name, a
-- digest of what it holds, in no order where the server keeps none, and when it expires (0: never).
local scanned = redis.call('SCAN', ARGV[1], 'COUNT', 200)
local now = redis.call('TIME')
now = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local told = {scanned[1]}
for _, key in ipairs(scanned[2]) do
  local kind = redis.call('TYPE', key)['ok']
  local parts = nil
  if kind == 'string' then
    parts = {redis.call('GET', key) or ''}
  elseif kind == 'list' then
    parts = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then
    parts = redis.call('SMEMBERS', key)
    table.sort(parts)
  elseif kind == 'zset' then
    parts = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'hash' then
    local flat = redis.call('HGETALL', key)
    parts = {}
    for i = 1, #flat, 2 do parts[#parts + 1] = #flat[i] .. ' ' .. flat[i] .. flat[i + 1] end
    table.sort(parts)
  elseif kind ~= 'none' then
    -- Two bytes of version and eight of a checksum end it.
    parts = {string.sub(redis.call('DUMP', key) or '', 1, -11)}
  end
  if parts then
    local lengths = {}
    for i, part in ipairs(parts) do lengths[i] = #part end
    local text = kind .. ' ' .. table.concat(lengths, ' ') .. '\n' .. table.concat(parts)
    local at = redis.pcall('PEXPIRETIME', key)
    if type(at) == 'table' then
      at = redis.call('PTTL', key)
      if at >= 0 then at = at + now end
    end
    if at < 0 then at = 0 end
    local name = redis.sha1hex(key)
    told[#told + 1] = string.sub(name, 1, 16) .. ' ' .. string.sub(redis.sha1hex(name .. redis.sha1hex(text)), 1, 16) .. ' ' .. string.format('%.0f', at)
  end
end
return told
