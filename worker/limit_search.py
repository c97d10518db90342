"""The Lua that finds the rate a provider allows and tells nowhere: Bedrock and Vertex refuse with a bare 429.

What is known is only when it refuses. Between two refusals a provider lets through what its limit is worth: its bucket
is empty at both. So the calls sent between them, over the time between them, are the limit itself, however unevenly
they were sent; a few such spans, the newest counting most, make up for their being short.

Until the first span has ended nothing is known, and the rate begins low and doubles. From then on it follows TCP CUBIC
(RFC 9438, section 4), with a rate in the place of the window: from BETA of the limit up to it, flat beside it, then
ever steeper, so that a limit which was raised is found too. Each probe that oversteps costs a refusal or two.

Fields of the gate, besides those of a bucket:

    found:rate    calls a ms: the limit, or where the doubling began; found:way: `cubic` or `double`
    found:from    from when on the rate grows: the end of the last pause
    found:since   the last refusal that ended a span; found:calls: sent since
    found:calls-before, found:ms-before   the spans before it, each weighing half of the next
"""

from __future__ import annotations

BETA = 0.85
"""Of the limit, right after a refusal; CUBIC's is 0.7. Here the limit is measured and not guessed, so that less room is
needed: what a refusal's pause and the slower calls after it save is let out again by the overstepping."""
RECOVERS_S = 10.0
"""Until the limit is reached again, CUBIC's K: 115 % after twice, 220 % after three times as long. At 600 a minute a
refusal every 25 s or so, one call in 200."""
RECOVERS_CALLS = 25
"""Or until so many calls were made, if that is later, up to RECOVERS_MOST_S: at a low limit too, no more than one call
in fifty is a refused probe."""
RECOVERS_MOST_S = 40.0
"""So that the next probe comes while the gate is still watched."""
DOUBLES_S = 1.5
"""In which the rate doubles until the second refusal: from one call a second to a hundred in 10 s."""
FIRST_SHARE = 4
"""One in so many of the calls on their way at the first refusal may be sent in the first second: an answer takes
seconds, so that this is no more than went before."""
ASKS_MS = 20
"""How far apart those who wait ask again while the rate doubles: fifty a second, for it may soon be so."""
FORGOTTEN_MS = 120_000
"""A longer span says nothing, for its calls were not all counted; the rate that was found before it still holds."""
SEARCH = (
    """
-- Calls a ms that are let through now.
local function found_rate(state, now)
  local s = math.max(0, now - (state['found:from'] or now)) / 1000
  local rate = math.max(state['found:rate'], 1e-6)
  if state['found:way'] == 'double' then return rate * 2 ^ math.min(s / DOUBLES_S, 20) end
  local recovers = math.min(math.max(RECOVERS_S, RECOVERS_CALLS / rate / 1000), RECOVERS_MOST_S)
  return rate * math.min(1 + (1 - BETA) * (s / recovers - 1) ^ 3, 1000)
end

-- Makes of the rate a bucket like the others: what a second is worth is there at once.
local function found_bucket(state, now)
  if not state['found:rate'] then return end
  local rate = found_rate(state, now)
  state['found:interval'], state['found:limit'] = 1 / rate, math.max(1, 60000 * rate)
  state['found:most'] = math.max(1, 1000 * rate)
end

-- Between two who ask again: twice as many as may go.
local function found_spacing(state)
  if state['found:way'] == 'double' then return ASKS_MS end
  return math.max(5, state['found:interval'] / 2)
end

-- A call was refused, and nothing was said of a limit. `here`: calls on their way; `till`: end of the pause.
local function search(gate, state, now, here, till)
  local paused = (state.pause or 0) > now
  local calls = math.max(0, (state['found:calls'] or 0) - 1)
  if not state['found:rate'] then
    write(gate, 'found:rate', math.max(1, here / FIRST_SHARE) / 1000, 'found:way', 'double', 'found:since', now)
    calls = 0
  elseif not paused and calls < 1 then
    if state['found:way'] == 'double' then write(gate, 'found:rate', state['found:rate'] / 2) end
    calls = 0
  elseif not paused and now - state['found:since'] > FORGOTTEN_MS then
    write(gate, 'found:way', 'cubic', 'found:since', now, 'found:calls-before', 0, 'found:ms-before', 0)
    calls = 0
  elseif not paused then
    local sent = calls + (state['found:calls-before'] or 0) / 2
    local ms = now - state['found:since'] + (state['found:ms-before'] or 0) / 2
    local rate = sent / math.max(ms, 1)
    if state['found:way'] == 'cubic' then rate = math.max(rate, state['found:rate'] / 2) end
    write(gate, 'found:rate', rate, 'found:way', 'cubic', 'found:since', now,
          'found:calls-before', sent, 'found:ms-before', ms)
    calls = 0
  end
  write(gate, 'found:calls', calls, 'found:from', till)
end
""".replace("BETA", str(BETA))
    .replace("RECOVERS_S", str(RECOVERS_S))
    .replace("RECOVERS_CALLS", str(RECOVERS_CALLS))
    .replace("RECOVERS_MOST_S", str(RECOVERS_MOST_S))
    .replace("DOUBLES_S", str(DOUBLES_S))
    .replace("FIRST_SHARE", str(FIRST_SHARE))
    .replace("ASKS_MS", str(ASKS_MS))
    .replace("FORGOTTEN_MS", str(FORGOTTEN_MS))
)
