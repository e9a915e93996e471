// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/plugin_loader.h"

#include "core/adapter/shared_object.h"
#include "core/protocol/family_folders.h"

#include <dlfcn.h>

namespace rankscope::adapter
{

std::string name(PluginState state)
{
    switch (state) {
    case PluginState::Found:
        return "found";
    case PluginState::Invalid:
        return "invalid";
    case PluginState::Incompatible:
        return "incompatible";
    case PluginState::Loaded:
        return "loaded";
    case PluginState::Failed:
        return "failed";
    }
    return {};
}

PluginLoader::PluginLoader(const std::vector<std::filesystem::path>& folders)
{
    using Use = protocol::FoundFamily::Use;
    for (auto& family : protocol::findFamilies(folders)) {
        Plugin plugin;
        plugin.state = family.use == Use::Usable    ? PluginState::Found
                       : family.use == Use::Invalid ? PluginState::Invalid
                                                    : PluginState::Incompatible;
        plugin.error = std::move(family.error);
        plugin.manifest = std::move(family.manifest);
        m_plugins.push_back(std::move(plugin));
    }
}

Result<const Plugin*> PluginLoader::load(const std::string& wanted)
{
    std::string known;
    Plugin* broken = nullptr;
    for (auto& plugin : m_plugins) {
        if (plugin.manifest.name == wanted) {
            if (plugin.state == PluginState::Found)
                loadLibrary(plugin);
            if (plugin.state == PluginState::Loaded)
                return &plugin;
            broken = broken ? broken : &plugin;
        } else if (plugin.state == PluginState::Found || plugin.state == PluginState::Loaded) {
            known += (known.empty() ? "" : ", ") + plugin.manifest.name;
        }
    }
    if (broken)
        return fail("the adapter family " + wanted + " cannot be used (" + name(broken->state) +
                    "): " + broken->error);
    return fail("there is no adapter family named '" + wanted +
                "'; known: " + (known.empty() ? "none" : known));
}

void PluginLoader::loadAll()
{
    for (auto& plugin : m_plugins) {
        if (plugin.state == PluginState::Found)
            loadLibrary(plugin);
    }
}

void PluginLoader::loadLibrary(Plugin& plugin)
{
    auto failed = [&](PluginState state, const std::string& why) {
        plugin.state = state;
        plugin.error = why;
    };
    const auto library = plugin.manifest.folder / plugin.manifest.library;
    if (const auto whole = checkSharedObject(library); !whole)
        return failed(PluginState::Failed, "its library cannot be opened: " + whole.error().message);
    try {
        // Never closed: code and vtables of a plugin stay in use as long as any tensor hook refers to them.
        void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!handle)
            return failed(PluginState::Failed, std::string("its library cannot be opened: ") + ::dlerror());
        using Entry = const RankscopeFamilyEntry* (*)();
        const auto entry = reinterpret_cast<Entry>(::dlsym(handle, "rankscope_family"));
        if (!entry)
            return failed(PluginState::Failed, library.string() + " does not export rankscope_family");
        const RankscopeFamilyEntry* family = entry();
        if (!family || family->apiVersion != protocol::pluginApiVersion)
            return failed(PluginState::Incompatible,
                          "its library was compiled for version " +
                              std::to_string(family ? family->apiVersion : 0) +
                              " of the plugin interface, this program has version " +
                              std::to_string(protocol::pluginApiVersion));
        if (!family->create || !family->destroy)
            return failed(PluginState::Failed, "it failed to start: its entry lacks a function");
        Family* created = family->create();
        if (!created)
            return failed(PluginState::Failed, "it failed to start: it made no family");
        plugin.family = std::shared_ptr<const Family>(
            created, [destroy = family->destroy](const Family* f) { destroy(const_cast<Family*>(f)); });
        plugin.state = PluginState::Loaded;
    } catch (const std::exception& error) {
        failed(PluginState::Failed, std::string("it failed to start: ") + error.what());
    } catch (...) {
        failed(PluginState::Failed, "it failed to start: it threw something that says nothing");
    }
}

} // namespace rankscope::adapter
