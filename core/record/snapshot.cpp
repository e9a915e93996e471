// SPDX-License-Identifier: Apache-2.0
#include "core/record/snapshot.h"

#include "core/base/crc32c.h"
#include "core/base/files.h"
#include "core/record/hdf5_file.h"
#include "core/record/measure_name.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <unistd.h>

namespace rankscope::record
{
namespace
{

using hdf5::Group;

constexpr const char* formatName = "rankscope-run";
constexpr std::int64_t formatVersion = 1;

/// What follows HDF5's own end of a snapshot, where HDF5 does not look: this word, and the masked CRC-32C of
/// everything before it. The HDF5 library trusts much of what it reads, and a single flipped bit can make it
/// crash or never return, so damage must be found before it opens the file. A program that changes the file
/// cuts the seal off.
constexpr std::string_view sealWord = "rankscope-crc32c";

std::string_view bytesOf(const base::MappedFile& file)
{
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

Status writeSeal(const std::filesystem::path& path)
{
    std::uint32_t sum = 0;
    {
        RANKSCOPE_TRY(const base::MappedFile file, base::MappedFile::open(path));
        sum = base::maskedCrc32c(bytesOf(file));
    }
    std::ofstream file(path, std::ios::binary | std::ios::app);
    file << sealWord;
    file.write(reinterpret_cast<const char*>(&sum), sizeof sum);
    if (!file.flush())
        return fail(std::strerror(errno));
    return {};
}

/// Does the file end in a seal? An error if it is not that of its bytes.
Result<bool> checkSeal(const std::filesystem::path& path)
{
    RANKSCOPE_TRY(const base::MappedFile file, base::MappedFile::open(path));
    std::uint32_t sum = 0;
    const std::string_view bytes = bytesOf(file);
    const std::size_t content = bytes.size() - std::min(bytes.size(), sealWord.size() + sizeof sum);
    const std::string_view seal = bytes.substr(content);
    if (!seal.starts_with(sealWord))
        return false;
    std::memcpy(&sum, seal.data() + sealWord.size(), sizeof sum);
    if (sum != base::maskedCrc32c(bytes.substr(0, content)))
        return fail("it is damaged: its bytes do not agree with the checksum at its end");
    return true;
}

/// One field of a list of structs as a column.
template <typename Row, typename Field>
std::vector<Field> column(const std::vector<Row>& rows, Field Row::*field)
{
    std::vector<Field> values;
    values.reserve(rows.size());
    for (const auto& row : rows)
        values.push_back(row.*field);
    return values;
}

/// Puts a column back; its length must agree with the others.
template <typename Row, typename Field>
Status fill(std::vector<Row>& rows, const Group& group, const char* name, Field Row::*field)
{
    const auto assign = [&](const auto& values) -> Status {
        if (values.size() != rows.size())
            return fail(group.path() + "/" + name + " has " + std::to_string(values.size()) + " rows, but " +
                        std::to_string(rows.size()) + " were expected");
        for (std::size_t i = 0; i < values.size(); ++i)
            rows[i].*field = values[i];
        return {};
    };
    if constexpr (std::is_same_v<Field, std::string>) {
        RANKSCOPE_TRY(const auto values, group.readTexts(name));
        return assign(values);
    } else {
        RANKSCOPE_TRY(const auto values, group.readIntegers(name));
        return assign(values);
    }
}

Status writeRun(Group& root, const RunRecord& run)
{
    const RunDescription& about = run.description;
    RANKSCOPE_TRY(Group group, root.create("run"));
    auto attributes = group.attributes();
    RANKSCOPE_CHECK(attributes.set("program_version", about.programVersion));
    RANKSCOPE_CHECK(attributes.set("device", about.device));
    RANKSCOPE_CHECK(attributes.set("dtype", about.dtype));
    RANKSCOPE_CHECK(attributes.set("base_model", about.baseModel));
    RANKSCOPE_CHECK(attributes.set("base_model_sha256", about.baseModelSha256));
    RANKSCOPE_CHECK(attributes.set("base_parameters", about.baseParameters));
    RANKSCOPE_CHECK(attributes.set("trainable_parameters", about.trainableParameters));
    RANKSCOPE_CHECK(attributes.set("total_steps", about.totalSteps));
    RANKSCOPE_CHECK(attributes.set("layers", about.layers));
    RANKSCOPE_CHECK(attributes.set("state", run.state()));
    RANKSCOPE_CHECK(group.write("job.json", about.jobJson));
    RANKSCOPE_CHECK(group.write("tasks", about.tasks));
    RANKSCOPE_CHECK(group.write("modules", about.modules));
    RANKSCOPE_TRY(Group data, group.create("data"));
    RANKSCOPE_CHECK(data.write("path", column(about.data, &DataFile::path)));
    RANKSCOPE_CHECK(data.write("sha256", column(about.data, &DataFile::sha256)));
    RANKSCOPE_CHECK(data.write("rows", column(about.data, &DataFile::rows)));
    RANKSCOPE_CHECK(data.write("task", column(about.data, &DataFile::task)));
    RANKSCOPE_CHECK(data.write("split", column(about.data, &DataFile::split)));
    return {};
}

Status writeHistory(Group& root, const RunRecord& run)
{
    RANKSCOPE_TRY(Group states, root.create("states"));
    RANKSCOPE_CHECK(states.write("time_us", column(run.states, &StateChange::timeUs)));
    RANKSCOPE_CHECK(states.write("state", column(run.states, &StateChange::state)));
    RANKSCOPE_CHECK(states.write("reason", column(run.states, &StateChange::reason)));
    RANKSCOPE_TRY(Group checkpoints, root.create("checkpoints"));
    RANKSCOPE_CHECK(checkpoints.write("time_us", column(run.checkpoints, &CheckpointEntry::timeUs)));
    RANKSCOPE_CHECK(checkpoints.write("step", column(run.checkpoints, &CheckpointEntry::step)));
    RANKSCOPE_CHECK(checkpoints.write("path", column(run.checkpoints, &CheckpointEntry::path)));
    RANKSCOPE_TRY(Group notices, root.create("notices"));
    RANKSCOPE_CHECK(notices.write("time_us", column(run.notices, &NoticeEntry::timeUs)));
    RANKSCOPE_CHECK(notices.write("severity", column(run.notices, &NoticeEntry::severity)));
    RANKSCOPE_CHECK(notices.write("text", column(run.notices, &NoticeEntry::text)));
    RANKSCOPE_TRY(const Group progress, root.create("progress"));
    auto attributes = progress.attributes();
    RANKSCOPE_CHECK(attributes.set("time_us", run.progress.timeUs));
    RANKSCOPE_CHECK(attributes.set("phase", run.progress.phase));
    RANKSCOPE_CHECK(attributes.set("done", run.progress.done));
    RANKSCOPE_CHECK(attributes.set("total", run.progress.total));
    return attributes.set("remaining_seconds", run.progress.remainingSeconds);
}

/// Dataset names of the axes: their own, made unique beside "values" and "step".
std::vector<std::string> scaleNames(const std::vector<Axis>& axes)
{
    std::set<std::string> taken{"values", "step"};
    std::vector<std::string> names;
    for (const auto& axis : axes) {
        std::string plain;
        for (const char c : axis.name)
            plain += c == '/' || c == '.' || c == '\0' ? '_' : c;
        if (plain.empty())
            plain = "axis";
        std::string name = plain;
        for (int i = 2; !taken.insert(name).second; ++i)
            name = plain + "_" + std::to_string(i);
        names.push_back(name);
    }
    return names;
}

Status writeMeasure(Group& parent, const std::string& name, const Measure& measure)
{
    const MeasureInfo& info = measure.info();
    RANKSCOPE_TRY(Group group, parent.create(name));
    std::vector<std::size_t> shape{measure.steps().size()};
    for (const auto& axis : info.axes)
        shape.push_back(axis.labels.size());
    const std::span<const float> values =
        measure.empty() ? std::span<const float>()
                        : std::span(measure.row(0).data(), measure.steps().size() * info.size());
    RANKSCOPE_TRY(hdf5::Dataset dataset, group.write("values", shape, values));
    auto attributes = dataset.attributes();
    RANKSCOPE_CHECK(attributes.set("name", info.name));
    RANKSCOPE_CHECK(attributes.set("title", info.title));
    RANKSCOPE_CHECK(attributes.set("unit", info.unit));
    RANKSCOPE_CHECK(attributes.set("definition", info.definition));
    std::vector<std::string> axisNames{"step"};
    for (const auto& axis : info.axes)
        axisNames.push_back(axis.name);
    RANKSCOPE_CHECK(attributes.set("axes", axisNames));

    RANKSCOPE_TRY(hdf5::Dataset step, group.write("step", measure.steps()));
    RANKSCOPE_CHECK(step.attributes().set("unit", std::string("optimizer steps")));
    RANKSCOPE_CHECK(step.makeScale("step"));
    RANKSCOPE_CHECK(dataset.attachScale(0, step, "step"));
    const auto names = scaleNames(info.axes);
    for (std::size_t i = 0; i < names.size(); ++i) {
        RANKSCOPE_TRY(hdf5::Dataset scale, group.write(names[i], info.axes[i].labels));
        auto scaleAttributes = scale.attributes();
        RANKSCOPE_CHECK(scaleAttributes.set("name", info.axes[i].name));
        RANKSCOPE_CHECK(scaleAttributes.set("unit", info.axes[i].unit));
        RANKSCOPE_CHECK(scale.makeScale(info.axes[i].name.empty() ? names[i] : info.axes[i].name));
        RANKSCOPE_CHECK(dataset.attachScale(i + 1, scale, info.axes[i].name));
    }
    // The datasets of the axes, in order: a reader needs no dimension-scale interface.
    return attributes.set("scales", names);
}

Status writeMeasures(Group& root, const RunRecord& run)
{
    RANKSCOPE_TRY(Group measures, root.create("measures"));
    for (const auto& [name, measure] : run.measures()) {
        RANKSCOPE_CHECK(checkMeasureName(name));
        const std::size_t slash = name.find('/');
        const std::string family = name.substr(0, slash);
        auto group = measures.has(family) ? measures.open(family) : measures.create(family);
        if (!group)
            return fail(group.error());
        RANKSCOPE_CHECK(writeMeasure(*group, name.substr(slash + 1), measure));
    }
    return {};
}

Status writeFile(const RunRecord& run, const std::filesystem::path& path)
{
    RANKSCOPE_TRY(hdf5::File file, hdf5::File::create(path));
    {
        RANKSCOPE_TRY(Group root, file.root());
        auto attributes = root.attributes();
        RANKSCOPE_CHECK(attributes.set("format", std::string(formatName)));
        RANKSCOPE_CHECK(attributes.set("format_version", formatVersion));
        RANKSCOPE_CHECK(writeRun(root, run));
        RANKSCOPE_CHECK(writeHistory(root, run));
        RANKSCOPE_CHECK(writeMeasures(root, run));
    }
    return file.close();
}

Status readRun(const Group& root, RunDescription& about)
{
    RANKSCOPE_TRY(const Group group, root.open("run"));
    const auto attributes = group.attributes();
    RANKSCOPE_TRY(about.programVersion, attributes.text("program_version"));
    RANKSCOPE_TRY(about.device, attributes.text("device"));
    RANKSCOPE_TRY(about.dtype, attributes.text("dtype"));
    RANKSCOPE_TRY(about.baseModel, attributes.text("base_model"));
    RANKSCOPE_TRY(about.baseModelSha256, attributes.text("base_model_sha256"));
    RANKSCOPE_TRY(about.baseParameters, attributes.integer("base_parameters"));
    RANKSCOPE_TRY(about.trainableParameters, attributes.integer("trainable_parameters"));
    RANKSCOPE_TRY(about.totalSteps, attributes.integer("total_steps"));
    RANKSCOPE_TRY(about.layers, attributes.integer("layers"));
    RANKSCOPE_TRY(const auto job, group.readTexts("job.json"));
    about.jobJson = job.empty() ? std::string() : job.front();
    RANKSCOPE_TRY(about.tasks, group.readTexts("tasks"));
    RANKSCOPE_TRY(about.modules, group.readTexts("modules"));
    RANKSCOPE_TRY(const Group data, group.open("data"));
    RANKSCOPE_TRY(const auto paths, data.readTexts("path"));
    about.data.resize(paths.size());
    RANKSCOPE_CHECK(fill(about.data, data, "path", &DataFile::path));
    RANKSCOPE_CHECK(fill(about.data, data, "sha256", &DataFile::sha256));
    RANKSCOPE_CHECK(fill(about.data, data, "rows", &DataFile::rows));
    RANKSCOPE_CHECK(fill(about.data, data, "task", &DataFile::task));
    return fill(about.data, data, "split", &DataFile::split);
}

Status readHistory(const Group& root, RunRecord& run)
{
    RANKSCOPE_TRY(const Group states, root.open("states"));
    RANKSCOPE_TRY(const auto stateTimes, states.readIntegers("time_us"));
    run.states.resize(stateTimes.size());
    RANKSCOPE_CHECK(fill(run.states, states, "time_us", &StateChange::timeUs));
    RANKSCOPE_CHECK(fill(run.states, states, "state", &StateChange::state));
    RANKSCOPE_CHECK(fill(run.states, states, "reason", &StateChange::reason));
    RANKSCOPE_TRY(const Group checkpoints, root.open("checkpoints"));
    RANKSCOPE_TRY(const auto checkpointTimes, checkpoints.readIntegers("time_us"));
    run.checkpoints.resize(checkpointTimes.size());
    RANKSCOPE_CHECK(fill(run.checkpoints, checkpoints, "time_us", &CheckpointEntry::timeUs));
    RANKSCOPE_CHECK(fill(run.checkpoints, checkpoints, "step", &CheckpointEntry::step));
    RANKSCOPE_CHECK(fill(run.checkpoints, checkpoints, "path", &CheckpointEntry::path));
    RANKSCOPE_TRY(const Group notices, root.open("notices"));
    RANKSCOPE_TRY(const auto noticeTimes, notices.readIntegers("time_us"));
    run.notices.resize(noticeTimes.size());
    RANKSCOPE_CHECK(fill(run.notices, notices, "time_us", &NoticeEntry::timeUs));
    RANKSCOPE_CHECK(fill(run.notices, notices, "severity", &NoticeEntry::severity));
    RANKSCOPE_CHECK(fill(run.notices, notices, "text", &NoticeEntry::text));
    RANKSCOPE_TRY(const Group progress, root.open("progress"));
    const auto attributes = progress.attributes();
    RANKSCOPE_TRY(run.progress.timeUs, attributes.integer("time_us"));
    RANKSCOPE_TRY(run.progress.phase, attributes.text("phase"));
    RANKSCOPE_TRY(run.progress.done, attributes.integer("done"));
    RANKSCOPE_TRY(run.progress.total, attributes.integer("total"));
    RANKSCOPE_TRY(run.progress.remainingSeconds, attributes.real("remaining_seconds"));
    return {};
}

/// The scale datasets of the axes, by the order of the dimensions: the attribute "scales" of the values.
Result<std::vector<Axis>> readAxes(const Group& group, const hdf5::Dataset& values, std::size_t count)
{
    RANKSCOPE_TRY(const auto names, values.attributes().texts("scales"));
    if (names.size() != count)
        return fail(group.path() + "/values has " + std::to_string(count) +
                    " axes besides the step, but names " + std::to_string(names.size()) + " scales");
    std::vector<Axis> axes;
    for (const auto& name : names) {
        RANKSCOPE_TRY(const hdf5::Dataset scale, group.openDataset(name));
        Axis axis;
        RANKSCOPE_TRY(axis.name, scale.attributes().text("name"));
        RANKSCOPE_TRY(axis.unit, scale.attributes().text("unit"));
        RANKSCOPE_TRY(axis.labels, group.readTexts(name));
        axes.push_back(std::move(axis));
    }
    return axes;
}

Status readMeasure(const Group& group, const std::string& name, RunRecord& run)
{
    RANKSCOPE_CHECK(checkMeasureName(name));
    RANKSCOPE_TRY(const hdf5::Dataset dataset, group.openDataset("values"));
    RANKSCOPE_TRY(const auto values, group.readFloats("values"));
    RANKSCOPE_TRY(const auto steps, group.readIntegers("step"));
    if (values.shape.empty() || values.shape.front() != steps.size())
        return fail(group.path() + "/values does not have one row for each step");
    MeasureInfo info;
    info.name = name;
    const auto attributes = dataset.attributes();
    RANKSCOPE_TRY(info.title, attributes.text("title"));
    RANKSCOPE_TRY(info.unit, attributes.text("unit"));
    RANKSCOPE_TRY(info.definition, attributes.text("definition"));
    RANKSCOPE_TRY(info.axes, readAxes(group, dataset, values.shape.size() - 1));
    for (std::size_t i = 0; i < info.axes.size(); ++i) {
        if (info.axes[i].labels.size() != values.shape[i + 1])
            return fail(group.path() + "/values does not agree with the labels of its axis " +
                        info.axes[i].name);
    }
    Measure& measure = run.define(info);
    const std::size_t size = info.size();
    for (std::size_t row = 0; row < steps.size(); ++row) {
        if ((row > 0 && steps[row] <= steps[row - 1]) ||
            !measure.append(steps[row], std::span(values.values).subspan(row * size, size)))
            return fail(group.path() + "/step does not grow");
    }
    return {};
}

Status readMeasures(const Group& root, RunRecord& run)
{
    RANKSCOPE_TRY(const Group measures, root.open("measures"));
    RANKSCOPE_TRY(const auto families, measures.names());
    for (const auto& family : families) {
        RANKSCOPE_TRY(const Group members, measures.open(family));
        RANKSCOPE_TRY(const auto names, members.names());
        for (const auto& name : names) {
            RANKSCOPE_TRY(const Group group, members.open(name));
            RANKSCOPE_CHECK(readMeasure(group, family + "/" + name, run));
        }
    }
    return {};
}

Result<RunRecord> readFile(const std::filesystem::path& path)
{
    RANKSCOPE_TRY(const hdf5::File file, hdf5::File::openReadOnly(path));
    RANKSCOPE_TRY(const Group root, file.root());
    const auto format = root.attributes().text("format");
    if (!format || *format != formatName)
        return fail("it is an HDF5 file, but not a snapshot of a run");
    RANKSCOPE_TRY(const std::int64_t version, root.attributes().integer("format_version"));
    if (version != formatVersion)
        return fail("its format version is " + std::to_string(version) + ", but this program reads version " +
                    std::to_string(formatVersion));
    RunRecord run;
    RANKSCOPE_CHECK(readRun(root, run.description));
    RANKSCOPE_CHECK(readHistory(root, run));
    RANKSCOPE_CHECK(readMeasures(root, run));
    return run;
}

} // namespace

Status checkSnapshotTarget(const std::filesystem::path& path)
{
    std::error_code code;
    const auto folder = path.parent_path();
    if (!folder.empty() && !std::filesystem::is_directory(folder, code))
        return fail("cannot write the snapshot " + path.string() + ": there is no folder " + folder.string());
    if (const auto status = std::filesystem::status(path, code);
        std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
        return fail("cannot write the snapshot " + path.string() + ": what has this name is not a file");
    return {};
}

Status writeSnapshot(const RunRecord& run, const std::filesystem::path& path)
{
    RANKSCOPE_CHECK(checkSnapshotTarget(path));
    const std::filesystem::path beside = base::partBeside(path);
    const auto abandon = [&](const std::string& why) -> Status {
        ::unlink(beside.c_str());
        return fail("cannot write the snapshot " + path.string() + ": " + why);
    };
    {
        const auto guard = hdf5::lock();
        if (const auto written = writeFile(run, beside); !written)
            return abandon(written.error().message);
    }
    if (const auto sealed = writeSeal(beside); !sealed)
        return abandon(sealed.error().message);
    if (const auto synced = base::syncPath(beside); !synced)
        return abandon(synced.error().message);
    std::error_code code;
    std::filesystem::rename(beside, path, code);
    if (code)
        return abandon(code.message());
    const auto folder = path.parent_path();
    return base::syncPath(folder.empty() ? std::filesystem::path(".") : folder);
}

Result<RunRecord> readSnapshot(const std::filesystem::path& path, const UnsealedReader& unsealed)
{
    const auto cannot = [&](const Error& why) {
        return fail(why.within("cannot read the snapshot " + path.string()));
    };
    const auto sealed = checkSeal(path);
    if (!sealed)
        return cannot(sealed.error());
    if (!*sealed && unsealed)
        return unsealed(path);
    const auto guard = hdf5::lock();
    auto run = readFile(path);
    if (!run)
        return cannot(run.error());
    return run;
}

} // namespace rankscope::record
