--[[ Hotkeys and a menu of instructions for liveedit-cam, inside OBS: Tools > Scripts > +.

It writes two settings of one text source, and liveedit-cam reads them:
  text              the instruction; empty = leave it as it is
  liveedit_command  "edit", "bypass" or "slate" and a number that grows, such as "bypass 17"
It knows no network, and nothing of whether liveedit-cam runs.
]]

local obs = obslua

local DEFAULT_SOURCE = "LiveEdit prompt"
local DEFAULT_INSTRUCTIONS = {
  "make it night", "golden light", "make it black and white", "make the background blue",
  "blur the background",
}
local TEXT_KINDS = { "text_gdiplus_v3", "text_gdiplus_v2", "text_ft2_source_v2" }
local NUM_DIRECT = 9

local source_name = DEFAULT_SOURCE
local instructions = {}
local chosen = "" -- of the menu
local last_text = "" -- what toggle comes back to
local position = 0 -- in instructions; 0 = none used yet
local hotkeys = {} -- name -> id, which OBS saves the keys by

-- The text source ------------------------------------------------------------------------------

local function say_missing()
  obs.script_log(obs.LOG_WARNING, "There is no source \"" .. source_name .. "\". Press \"Create "
    .. "text source\" in Tools > Scripts, or write the name of your text source there.")
end

-- Call act(source, settings) with the text source; false where it is missing.
local function with_source(act)
  local source = obs.obs_get_source_by_name(source_name)
  if source == nil then
    say_missing()
    return false
  end
  local settings = obs.obs_source_get_settings(source)
  act(source, settings)
  obs.obs_data_release(settings)
  obs.obs_source_release(source)
  return true
end

-- Write a command, and with it the instruction; text nil = the one that stands there.
local function send(command, text)
  return with_source(function(source, settings)
    local before = obs.obs_data_get_string(settings, "liveedit_command")
    local count = tonumber(before:match("%d+$")) or 0
    local change = obs.obs_data_create()
    obs.obs_data_set_string(change, "liveedit_command", command .. " " .. (count + 1))
    if text ~= nil then
      obs.obs_data_set_string(change, "text", text)
    end
    obs.obs_source_update(source, change)
    obs.obs_data_release(change)
  end)
end

-- The command and the text that stand in the source; nil where it is missing.
local function read()
  local command, text
  with_source(function(_, settings)
    command = obs.obs_data_get_string(settings, "liveedit_command"):match("^%a+") or "edit"
    text = obs.obs_data_get_string(settings, "text")
  end)
  return command, text
end

-- What the hotkeys do --------------------------------------------------------------------------

local function use(index)
  if instructions[index] == nil then
    obs.script_log(obs.LOG_WARNING, "There is no instruction " .. index .. ", the list has "
      .. #instructions .. ". Add it in Tools > Scripts.")
    return
  end
  position, last_text = index, instructions[index]
  send("edit", last_text)
end

-- Go through the list and around its ends, from what stands in the source; by is 1 or -1.
local function step(by)
  local _, text = read()
  if text == nil then
    return
  end
  for index, instruction in ipairs(instructions) do
    if instruction == text then
      position = index
    end
  end
  if position == 0 then
    use(by > 0 and 1 or math.max(1, #instructions))
  else
    use(#instructions == 0 and 1 or (position - 1 + by) % #instructions + 1)
  end
end

-- The edit or the picture as it is; after bypass and slate, back to what was before.
local function toggle()
  local command, text = read()
  if command == nil then
    return
  end
  if command ~= "edit" then
    send("edit")
  elseif text ~= "" then
    last_text = text
    send("edit", "")
  elseif last_text ~= "" then
    send("edit", last_text)
  else
    use(1)
  end
end

local ACTIONS = {
  { "next", "next instruction", function() step(1) end },
  { "previous", "previous instruction", function() step(-1) end },
  { "toggle", "the edit, or the picture as it is", toggle },
  { "bypass", "the raw camera", function() send("bypass") end },
  { "slate", "a still card, nothing of the camera", function() send("slate") end },
}
for index = 1, NUM_DIRECT do
  table.insert(ACTIONS, { tostring(index), "instruction " .. index, function() use(index) end })
end

-- The window in Tools > Scripts ----------------------------------------------------------------

local function text_kind()
  for _, kind in ipairs(TEXT_KINDS) do
    if obs.obs_source_get_display_name(kind) ~= nil then
      return kind
    end
  end
end

-- A hidden text source in the current scene: viewers shall not read the instruction.
local function create_source()
  local present = obs.obs_get_source_by_name(source_name)
  if present ~= nil then
    obs.obs_source_release(present)
    obs.script_log(obs.LOG_INFO, "The source \"" .. source_name .. "\" is there already.")
    return false
  end
  local kind, scene_source = text_kind(), obs.obs_frontend_get_current_scene()
  if kind == nil or scene_source == nil then
    obs.obs_source_release(scene_source)
    obs.script_log(obs.LOG_WARNING, "This OBS has no " .. (kind == nil and "text source" or "scene")
      .. ", so the source \"" .. source_name .. "\" cannot be created.")
    return false
  end
  local source = obs.obs_source_create(kind, source_name, nil, nil)
  local item = obs.obs_scene_add(obs.obs_scene_from_source(scene_source), source)
  obs.obs_sceneitem_set_visible(item, false)
  obs.script_log(obs.LOG_INFO, "Created the text source \"" .. source_name .. "\", hidden, in "
    .. "scene \"" .. obs.obs_source_get_name(scene_source) .. "\".")
  obs.obs_source_release(source)
  obs.obs_source_release(scene_source)
  return false
end

-- OBS shows the first instruction where none has been chosen yet.
local function use_chosen()
  local found = 1
  for index, instruction in ipairs(instructions) do
    if instruction == chosen then
      found = index
    end
  end
  use(found)
  return false
end

local function fill_menu(menu)
  obs.obs_property_list_clear(menu)
  for _, instruction in ipairs(instructions) do
    obs.obs_property_list_add_string(menu, instruction, instruction)
  end
end

local function read_settings(settings)
  source_name = obs.obs_data_get_string(settings, "source")
  chosen = obs.obs_data_get_string(settings, "chosen")
  instructions = {}
  local array = obs.obs_data_get_array(settings, "instructions")
  for index = 0, obs.obs_data_array_count(array) - 1 do
    local item = obs.obs_data_array_item(array, index)
    local instruction = obs.obs_data_get_string(item, "value")
    if instruction ~= "" then
      table.insert(instructions, instruction)
    end
    obs.obs_data_release(item)
  end
  obs.obs_data_array_release(array)
end

-- What OBS calls -------------------------------------------------------------------------------

function script_description()
  return "<b>liveedit-cam</b>: hotkeys and a menu for the instruction.<br>"
    .. "Set the keys in Settings > Hotkeys; all begin with \"LiveEdit\"."
end

function script_defaults(settings)
  obs.obs_data_set_default_string(settings, "source", DEFAULT_SOURCE)
  local array = obs.obs_data_array_create()
  for _, instruction in ipairs(DEFAULT_INSTRUCTIONS) do
    local item = obs.obs_data_create()
    obs.obs_data_set_string(item, "value", instruction)
    obs.obs_data_array_push_back(array, item)
    obs.obs_data_release(item)
  end
  obs.obs_data_set_default_array(settings, "instructions", array)
  obs.obs_data_array_release(array)
end

function script_properties()
  local properties = obs.obs_properties_create()
  local list = obs.obs_properties_add_editable_list(
    properties, "instructions", "Instructions", obs.OBS_EDITABLE_LIST_TYPE_STRINGS, nil, nil)
  local menu = obs.obs_properties_add_list(
    properties, "chosen", "Menu", obs.OBS_COMBO_TYPE_LIST, obs.OBS_COMBO_FORMAT_STRING)
  fill_menu(menu)
  obs.obs_property_set_modified_callback(list, function(changed, _, settings)
    read_settings(settings)
    fill_menu(obs.obs_properties_get(changed, "chosen"))
    return true
  end)
  obs.obs_properties_add_button(properties, "use", "Use it now", use_chosen)
  obs.obs_properties_add_text(properties, "source", "Text source", obs.OBS_TEXT_DEFAULT)
  obs.obs_properties_add_button(properties, "create", "Create text source", create_source)
  return properties
end

function script_update(settings)
  read_settings(settings)
end

function script_load(settings)
  for _, action in ipairs(ACTIONS) do
    local name, act = "liveedit." .. action[1], action[3]
    hotkeys[name] = obs.obs_hotkey_register_frontend(name, "LiveEdit: " .. action[2],
      function(is_pressed)
        if is_pressed then
          act()
        end
      end)
    local keys = obs.obs_data_get_array(settings, name)
    obs.obs_hotkey_load(hotkeys[name], keys)
    obs.obs_data_array_release(keys)
  end
end

function script_save(settings)
  for name, id in pairs(hotkeys) do
    local keys = obs.obs_hotkey_save(id)
    obs.obs_data_set_array(settings, name, keys)
    obs.obs_data_array_release(keys)
  end
end
