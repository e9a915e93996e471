// SPDX-License-Identifier: Apache-2.0
#include "app/worker/export_command.h"

#include "app/worker/located_checkpoint.h"
#include "app/worker/report.h"
#include "core/adapter/plugin_loader.h"
#include "core/base/paths.h"
#include "core/interchange/merged_model.h"
#include "core/interchange/output_folder.h"
#include "core/interchange/peft_folder.h"
#include "core/train/checkpoint.h"

#include <iostream>
#include <unistd.h>

namespace rankscope::worker
{
namespace
{

/// One line that is written over: "merging: 120 of 272 tensors".
class ProgressLine
{
public:
    explicit ProgressLine(const char* what) : m_what(what) {}
    ~ProgressLine()
    {
        if (m_terminal && m_shown)
            std::cerr << '\n';
    }
    bool operator()(std::int64_t done, std::int64_t total)
    {
        if (m_terminal && (done == total || done % 8 == 0)) {
            std::cerr << '\r' << m_what << ": " << done << " of " << total << " tensors" << std::flush;
            m_shown = true;
        }
        return true;
    }

private:
    const char* m_what;
    bool m_terminal = ::isatty(2) != 0;
    bool m_shown = false;
};

struct Opened {
    LocatedCheckpoint located;
    const adapter::Plugin* plugin = nullptr;
    std::unique_ptr<checkpoint::BaseModelFiles> base;
    std::unique_ptr<model::Decoder> model;
    std::unique_ptr<adapter::Adapter> adapter; ///< destroyed before the model
};

/// The base in the precision it is stored in: what is exported is W as the file has it.
at::ScalarType storedType(const checkpoint::BaseModelFiles& base)
{
    const auto* view = base.plainView(base.config().linears().front().path + ".weight");
    return view && view->dtype == checkpoint::DType::BF16 ? at::kBFloat16 : at::kFloat;
}

Result<Opened> open(const ExportRequest& request, adapter::PluginLoader& plugins)
{
    Opened opened;
    RANKSCOPE_TRY(opened.located, LocatedCheckpoint::find(request.runOrCheckpoint));
    protocol::Job& job = opened.located.job;
    RANKSCOPE_TRY(opened.plugin, plugins.load(job.adapter.family));
    RANKSCOPE_TRY(job.adapter.settings, opened.plugin->manifest.complete(job.adapter.settings));
    const auto& family = opened.plugin->manifest;
    RANKSCOPE_CHECK(request.format == "peft" ? interchange::checkPeft(family)
                                             : interchange::checkMergeable(family));
    RANKSCOPE_TRY(opened.base, checkpoint::BaseModelFiles::open(job.model.path));
    RANKSCOPE_CHECK(opened.located.checkBase(opened.base->identityFiles()));
    ProgressLine progress("loading");
    model::Decoder::Options options;
    options.dtype = storedType(*opened.base);
    options.progress = [&](std::int64_t done, std::int64_t total) { return progress(done, total); };
    RANKSCOPE_TRY(opened.model, model::Decoder::load(*opened.base, options));
    RANKSCOPE_TRY(opened.adapter,
                  opened.plugin->family->attach(*opened.model, adapter::Settings(job.adapter.settings),
                                                {at::kFloat, static_cast<std::uint64_t>(job.training.seed)}));
    RANKSCOPE_CHECK(train::loadAdapter(opened.located.folder, job, opened.adapter->parameters()));
    return opened;
}

Result<std::vector<std::string>> write(const ExportRequest& request, const Opened& opened)
{
    if (request.format == "peft") {
        RANKSCOPE_CHECK(interchange::writePeft(opened.plugin->manifest, opened.located.job.model.path,
                                               opened.base->config().linears(), *opened.adapter,
                                               request.folder));
        return std::vector<std::string>{};
    }
    interchange::MergeOptions options;
    if (request.dtype != "auto")
        options.dtype = request.dtype == "f32"   ? checkpoint::DType::F32
                        : request.dtype == "f16" ? checkpoint::DType::F16
                                                 : checkpoint::DType::BF16;
    ProgressLine progress("merging");
    options.progress = [&](std::int64_t done, std::int64_t total) { return progress(done, total); };
    return interchange::writeMerged(*opened.base, *opened.adapter, request.folder, options);
}

} // namespace

int exportCommand(const ExportRequest& request)
{
    try {
        // What can be wrong with the request comes before the work.
        if (const auto status = interchange::checkOutputFolder(request.folder); !status)
            return report(status.error().message, 2);
        adapter::PluginLoader plugins(base::pluginFolders());
        const auto opened = open(request, plugins);
        if (!opened)
            return report(opened.error().message, 2);
        const auto exportable =
            request.format == "peft"
                ? interchange::checkPeft(opened->plugin->manifest, opened->base->config().linears(),
                                         *opened->adapter)
                : interchange::checkMergeable(opened->plugin->manifest, *opened->adapter);
        if (!exportable)
            return report(exportable.error().message, 2);
        const auto notes = write(request, *opened);
        if (!notes)
            return report(notes.error().message, 1);
        for (const auto& note : *notes)
            std::cerr << note << '\n';
        std::cout << request.folder.string() << '\n';
        return 0;
    } catch (const c10::Error& error) {
        return report(std::string("the export failed: ") + error.what_without_backtrace(), 1);
    } catch (const std::exception& error) {
        return report(std::string("the export failed: ") + error.what(), 1);
    }
}

} // namespace rankscope::worker
