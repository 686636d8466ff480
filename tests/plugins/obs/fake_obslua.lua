--[[ A small obslua for tests under plain Lua: sources, settings, hotkeys, properties, and a count of
what was not released. Before it is loaded, the global TEXT_KIND names the text source this OBS has.
At the end of a test, `finish()` prints the references that are still open. ]]

obslua = {
  LOG_INFO = "info", LOG_WARNING = "warning", OBS_EDITABLE_LIST_TYPE_STRINGS = 0,
  OBS_COMBO_TYPE_LIST = 1, OBS_COMBO_FORMAT_STRING = 3, OBS_TEXT_DEFAULT = 0,
}
local fake = obslua
sources, hotkeys, open = {}, {}, 0

local function hold(thing) if thing ~= nil then open = open + 1 end return thing end
local function free(thing) if thing ~= nil then open = open - 1 end end

-- obs_data: `own` and `default` values by key
function data(values) return { own = values or {}, default = {} } end
local function get(settings, key)
  if settings.own[key] ~= nil then return settings.own[key] end
  return settings.default[key]
end
function fake.obs_data_create() return hold(data()) end
fake.obs_data_release, fake.obs_data_array_release = free, free
function fake.obs_data_get_string(settings, key) return get(settings, key) or "" end
function fake.obs_data_set_string(settings, key, value)
  assert(type(value) == "string", key)
  settings.own[key] = value
end
function fake.obs_data_set_default_string(settings, key, value) settings.default[key] = value end
function fake.obs_data_get_array(settings, key) return hold(get(settings, key)) end
function fake.obs_data_set_array(settings, key, array) settings.own[key] = array end
function fake.obs_data_set_default_array(settings, key, array) settings.default[key] = array end
function fake.obs_data_array_create() return hold({}) end
function fake.obs_data_array_count(array) return array and #array or 0 end
function fake.obs_data_array_item(array, index) return hold(array[index + 1]) end
function fake.obs_data_array_push_back(array, item) table.insert(array, item) end

-- sources and the one scene
function source(name, kind, settings)
  sources[name] = { name = name, kind = kind, settings = data(settings), visible = true }
  return sources[name]
end
function fake.obs_get_source_by_name(name) return hold(sources[name]) end
function fake.obs_source_get_name(one) return one.name end
function fake.obs_source_release(one) free(one) end
function fake.obs_source_get_settings(one) return hold(one.settings) end
function fake.obs_source_update(one, settings)
  for key, value in pairs(settings.own) do one.settings.own[key] = value end
end
function fake.obs_source_get_display_name(kind) if kind == TEXT_KIND then return "Text" end end
function fake.obs_source_create(kind, name) return hold(source(name, kind)) end
function fake.obs_frontend_get_current_scene() return hold({ name = "Scene" }) end
function fake.obs_scene_from_source(one) return one end
function fake.obs_scene_add(_, one) return one end
function fake.obs_sceneitem_set_visible(item, visible) item.visible = visible end
function fake.script_log(level, text) print(level .. ": " .. text) end

-- hotkeys: id = the name; keys are arrays
function fake.obs_hotkey_register_frontend(name, description, act)
  assert(hotkeys[name] == nil, "two hotkeys are called " .. name)
  hotkeys[name] = { description = description, act = act }
  return name
end
function fake.obs_hotkey_load(id, keys) hotkeys[id].keys = keys end
function fake.obs_hotkey_save(id) return hold(hotkeys[id].keys or {}) end
function press(name) hotkeys["liveedit." .. name].act(true) end
function release(name) hotkeys["liveedit." .. name].act(false) end

-- properties: by name, each with its items, action and change callback
function fake.obs_properties_create() properties = {} return properties end
local function add(all, name) all[name] = { items = {} } return all[name] end
fake.obs_properties_add_editable_list, fake.obs_properties_add_list = add, add
fake.obs_properties_add_text = add
function fake.obs_properties_add_button(all, name, _, act) add(all, name).act = act end
function fake.obs_properties_get(all, name) return all[name] end
function fake.obs_property_list_clear(menu) menu.items = {} end
function fake.obs_property_list_add_string(menu, label) table.insert(menu.items, label) end
function fake.obs_property_set_modified_callback(property, act) property.changed = act end

-- what OBS does around a script, and short words for tests
settings = data()
function list(...)
  local array = {}
  for _, value in ipairs({ ... }) do table.insert(array, data({ value = value })) end
  return array
end
function start(instructions)
  settings.own.instructions = instructions
  script_defaults(settings)
  script_update(settings)
  script_load(settings)
end
function click(name) script_properties()[name].act() end
function show()
  local own = sources["LiveEdit prompt"].settings.own
  print((own.text or "") .. " | " .. (own.liveedit_command or ""))
end
function finish() print("open " .. open) end
