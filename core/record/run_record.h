// SPDX-License-Identifier: Apache-2.0
// A run in memory: everything that views, exports and analyses know of it. Filled from a journal or an HDF5
// file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace rankscope::record
{

/// One coordinate of a measure. Its size is the number of labels.
struct Axis {
    std::string name; ///< "layer", "module", "expert", "task", "cut", "index"
    std::string unit;
    std::vector<std::string> labels;

    bool operator==(const Axis&) const = default;
};

struct MeasureInfo {
    std::string name;       ///< "rank/entropy": group and name
    std::string title;      ///< for axes and headings
    std::string unit;       ///< "" for a pure number
    std::string definition; ///< formula and source
    std::vector<Axis> axes; ///< none: a scalar

    /// Product of the axes' sizes; 1 for a scalar.
    [[nodiscard]] std::size_t size() const;
    /// Position of the axis of that name.
    [[nodiscard]] std::optional<std::size_t> axis(const std::string& name) const;

    bool operator==(const MeasureInfo&) const = default;
};

/// A quantity over steps: at each recorded step one float for each position of its axes, row-major.
/// NaN is "not measured".
class Measure
{
public:
    /// Newest measured values up to a step, and the step that each was measured at.
    struct Latest {
        std::vector<float> values;       ///< NaN: not measured
        std::vector<std::int64_t> steps; ///< -1: not measured
    };

    explicit Measure(MeasureInfo info);

    [[nodiscard]] const MeasureInfo& info() const { return m_info; }
    [[nodiscard]] std::span<const std::int64_t> steps() const { return m_steps; }
    [[nodiscard]] bool empty() const { return m_steps.empty(); }
    /// All values of one recorded row (not step): info().size() floats.
    [[nodiscard]] std::span<const float> row(std::size_t row) const;
    /// One position over all recorded rows.
    [[nodiscard]] std::vector<float> series(std::size_t position) const;
    /// Row-major position of one index for each axis.
    [[nodiscard]] std::size_t position(std::span<const std::size_t> indices) const;
    /// The last row recorded at or before `step`.
    [[nodiscard]] std::optional<std::size_t> rowAt(std::int64_t step) const;
    /// For each position the newest measured value at or before `step`; NaN where there is none. A measure
    /// that looks at a rotating subset is complete only this way.
    [[nodiscard]] Latest latestAt(std::int64_t step) const;
    /// The same of some positions, in their order; looks back only as far as they need.
    [[nodiscard]] Latest latestOf(std::span<const std::size_t> positions, std::int64_t step) const;
    /// The last value of a scalar, or of one position; NaN if there is none.
    [[nodiscard]] float last(std::size_t position = 0) const;

    /// Steps must not go back (equal replaces the last row); values must be info().size() long. False if not.
    bool append(std::int64_t step, std::span<const float> values);
    /// Forgets every row after `step`.
    void rewind(std::int64_t step);

private:
    MeasureInfo m_info;
    std::vector<std::int64_t> m_steps;
    std::vector<float> m_values;
    std::vector<std::size_t> m_first; ///< row of each position's first measured value; never: none yet
};

struct DataFile {
    std::string path;
    std::string sha256;
    std::int64_t rows = 0;
    std::string task;
    std::string split;

    bool operator==(const DataFile&) const = default;
};

/// What the run is: the first record of its journal.
struct RunDescription {
    std::string jobJson;
    std::string programVersion;
    std::string device;
    std::string dtype;
    std::string baseModel;
    std::string baseModelSha256;
    std::int64_t baseParameters = 0;
    std::int64_t trainableParameters = 0;
    std::int64_t totalSteps = 0;
    std::vector<std::string> tasks;
    std::vector<std::string> modules;
    std::int64_t layers = 0;
    std::vector<DataFile> data;

    bool operator==(const RunDescription&) const = default;
};

struct StateChange {
    std::int64_t timeUs = 0;
    std::string state;
    std::string reason;

    bool operator==(const StateChange&) const = default;
};

struct CheckpointEntry {
    std::int64_t timeUs = 0;
    std::int64_t step = 0;
    std::string path;

    bool operator==(const CheckpointEntry&) const = default;
};

struct NoticeEntry {
    std::int64_t timeUs = 0;
    std::string severity;
    std::string text;

    bool operator==(const NoticeEntry&) const = default;
};

struct ProgressEntry {
    std::int64_t timeUs = 0;
    std::string phase;
    std::int64_t done = 0;
    std::int64_t total = 0;
    double remainingSeconds = -1;

    bool operator==(const ProgressEntry&) const = default;
};

class RunRecord
{
public:
    RunDescription description;
    std::vector<StateChange> states;
    std::vector<CheckpointEntry> checkpoints;
    std::vector<NoticeEntry> notices;
    ProgressEntry progress;

    [[nodiscard]] const std::map<std::string, Measure>& measures() const { return m_measures; }
    /// The measure of that name, or nullptr.
    [[nodiscard]] const Measure* measure(const std::string& name) const;
    /// Announces a measure. A second announcement with equal axes keeps the values; with other axes it
    /// replaces them.
    Measure& define(const MeasureInfo& info);
    /// The measure to append to, or nullptr.
    Measure* mutableMeasure(const std::string& name);
    /// Which measure a journal means by a number: applyEvent() keeps it here, so that a watch can be taken up
    /// again.
    void bindId(std::uint32_t id, const std::string& name);
    /// The measure bound to the number, or nullptr.
    Measure* measureOfId(std::uint32_t id);
    /// The last state, or "" before the first.
    [[nodiscard]] std::string state() const;
    /// The largest step any measure has recorded; 0 if none.
    [[nodiscard]] std::int64_t lastStep() const;
    /// Forgets everything after `step` (a resume).
    void rewind(std::int64_t step);

private:
    std::map<std::string, Measure> m_measures;
    std::map<std::uint32_t, std::string> m_ids;
};

} // namespace rankscope::record
