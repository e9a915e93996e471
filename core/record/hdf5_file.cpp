// SPDX-License-Identifier: Apache-2.0
#include "core/record/hdf5_file.h"

#include "core/record/measure_name.h"

#include <algorithm>
#include <cstdlib>
#include <hdf5_hl.h>

namespace rankscope::record::hdf5
{
namespace
{

/// What a file may ask this program to allocate for one dataset.
constexpr std::size_t maxNumbers = std::size_t{1} << 29;
constexpr std::size_t maxTexts = std::size_t{1} << 24;
constexpr std::size_t maxTextBytes = std::size_t{1} << 28;
constexpr std::size_t maxNames = 100000;
/// Numbers of one chunk, the unit of compression.
constexpr std::size_t chunkNumbers = std::size_t{1} << 16;

herr_t keepDeepest(unsigned, const H5E_error2_t* error, void* target)
{
    if (error->desc && *error->desc)
        *static_cast<std::string*>(target) = error->desc;
    return 0;
}

/// What HDF5 says of its last error: the innermost description.
std::string reason()
{
    std::string text;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keepDeepest, &text);
    return text.empty() ? "HDF5 gives no reason" : text;
}

Type textType()
{
    Type type(H5Tcopy(H5T_C_S1));
    H5Tset_size(type.id(), H5T_VARIABLE);
    H5Tset_cset(type.id(), H5T_CSET_UTF8);
    return type;
}

std::vector<hsize_t> extents(const std::vector<std::size_t>& shape)
{
    return {shape.begin(), shape.end()};
}

std::size_t countOf(const std::vector<std::size_t>& shape)
{
    std::size_t count = 1;
    for (const std::size_t extent : shape)
        count *= extent;
    return count;
}

/// Chunks of whole rows, deflated; a dataset without values has nothing to cut.
PropertyList creation(const std::vector<std::size_t>& shape, bool compressed)
{
    PropertyList list(H5Pcreate(H5P_DATASET_CREATE));
    // Equal runs give equal files.
    H5Pset_obj_track_times(list.id(), false);
    const std::size_t count = countOf(shape);
    if (!compressed || shape.empty() || count == 0)
        return list;
    const std::size_t row = count / shape.front();
    auto chunk = extents(shape);
    chunk.front() = std::clamp<std::size_t>(chunkNumbers / row, 1, shape.front());
    H5Pset_chunk(list.id(), static_cast<int>(chunk.size()), chunk.data());
    H5Pset_shuffle(list.id());
    H5Pset_deflate(list.id(), 4);
    return list;
}

Space spaceOf(const std::vector<std::size_t>& shape)
{
    if (shape.empty())
        return Space(H5Screate(H5S_SCALAR));
    const auto sizes = extents(shape);
    return Space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr));
}

Result<Dataset> writeDataset(hid_t group, const std::string& name, const std::string& path, hid_t fileType,
                             hid_t memoryType, const std::vector<std::size_t>& shape, const void* values,
                             bool compressed)
{
    const Space space = spaceOf(shape);
    const PropertyList list = creation(shape, compressed);
    Handle<H5Dclose> dataset(
        H5Dcreate2(group, name.c_str(), fileType, space.id(), H5P_DEFAULT, list.id(), H5P_DEFAULT));
    if (!dataset.valid())
        return fail("cannot create the dataset " + path + ": " + reason());
    if (countOf(shape) > 0 && H5Dwrite(dataset.id(), memoryType, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        return fail("cannot write the dataset " + path + ": " + reason());
    return Dataset(std::move(dataset));
}

std::vector<const char*> pointers(const std::vector<std::string>& texts)
{
    std::vector<const char*> list;
    list.reserve(texts.size());
    for (const auto& text : texts)
        list.push_back(text.c_str());
    return list;
}

Result<std::vector<std::size_t>> shapeOf(hid_t dataset, const std::string& path, std::size_t limit)
{
    const Space space(H5Dget_space(dataset));
    const int rank = space.valid() ? H5Sget_simple_extent_ndims(space.id()) : -1;
    if (rank < 0 || static_cast<std::size_t>(rank) > maxMeasureAxes + 1 ||
        H5Sget_simple_extent_type(space.id()) == H5S_NULL)
        return fail(path + " has an unusable shape");
    std::vector<hsize_t> sizes(static_cast<std::size_t>(rank));
    if (rank > 0)
        H5Sget_simple_extent_dims(space.id(), sizes.data(), nullptr);
    std::size_t count = 1;
    for (const hsize_t size : sizes) {
        if (size > limit || (size > 0 && count > limit / size))
            return fail(path + " declares more than the " + std::to_string(limit) + " values accepted here");
        count *= static_cast<std::size_t>(size);
    }
    return std::vector<std::size_t>(sizes.begin(), sizes.end());
}

/// Only storage inside the file, only filters of HDF5 itself, and chunks no larger than what is allowed in
/// all.
Status checkStorage(hid_t dataset, const std::string& path)
{
    const PropertyList list(H5Dget_create_plist(dataset));
    const H5D_layout_t layout = H5Pget_layout(list.id());
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
        return fail(path + " is kept outside of the file");
    if (layout == H5D_CONTIGUOUS && H5Pget_external_count(list.id()) != 0)
        return fail(path + " is kept outside of the file");
    for (int i = 0; i < H5Pget_nfilters(list.id()); ++i) {
        unsigned flags = 0;
        std::size_t parameters = 0;
        const H5Z_filter_t filter = H5Pget_filter2(list.id(), static_cast<unsigned>(i), &flags, &parameters,
                                                   nullptr, 0, nullptr, nullptr);
        if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32)
            return fail(path + " uses a filter that is not accepted here");
    }
    if (layout == H5D_CHUNKED) {
        hsize_t sizes[H5S_MAX_RANK]{};
        const int rank = H5Pget_chunk(list.id(), H5S_MAX_RANK, sizes);
        std::size_t count = 1;
        for (int i = 0; i < rank; ++i) {
            if (sizes[i] == 0 || count > maxNumbers / sizes[i])
                return fail(path + " has chunks larger than what is accepted here");
            count *= static_cast<std::size_t>(sizes[i]);
        }
    }
    return {};
}

/// Deflate makes data at most about 1032 times smaller: a dataset that claims more holds nothing but its
/// claim.
Status checkSubstance(hid_t dataset, std::size_t bytes, const std::string& path)
{
    constexpr std::size_t best = 1100;
    constexpr std::size_t small = std::size_t{1} << 22;
    if (bytes > small && bytes / best > H5Dget_storage_size(dataset))
        return fail(path + " declares more values than the file holds");
    return {};
}

bool hasClass(hid_t dataset, H5T_class_t expected)
{
    const Type type(H5Dget_type(dataset));
    return type.valid() && H5Tget_class(type.id()) == expected;
}

/// The text of a fixed or variable string attribute.
Result<std::string> readTextAttribute(hid_t owner, const char* name)
{
    const Attribute attribute(H5Aopen(owner, name, H5P_DEFAULT));
    if (!attribute.valid())
        return fail(std::string("the attribute ") + name + " is missing");
    const Type type(H5Aget_type(attribute.id()));
    const Space space(H5Aget_space(attribute.id()));
    if (H5Tget_class(type.id()) != H5T_STRING || H5Sget_simple_extent_npoints(space.id()) != 1)
        return fail(std::string("the attribute ") + name + " is not a text");
    if (H5Tis_variable_str(type.id()) > 0) {
        char* text = nullptr;
        const Type memory = textType();
        H5Tset_cset(memory.id(), H5Tget_cset(type.id()));
        if (H5Aread(attribute.id(), memory.id(), &text) < 0)
            return fail(std::string("cannot read the attribute ") + name + ": " + reason());
        std::string value = text ? text : "";
        H5free_memory(text);
        return value;
    }
    std::string value(H5Tget_size(type.id()), '\0'); // attributes of fixed size are below 64 KiB
    if (H5Aread(attribute.id(), type.id(), value.data()) < 0)
        return fail(std::string("cannot read the attribute ") + name + ": " + reason());
    value.resize(std::min(value.find('\0'), value.size()));
    return value;
}

template <typename T>
Result<T> readNumberAttribute(hid_t owner, const char* name, hid_t memoryType)
{
    const Attribute attribute(H5Aopen(owner, name, H5P_DEFAULT));
    if (!attribute.valid())
        return fail(std::string("the attribute ") + name + " is missing");
    const Type type(H5Aget_type(attribute.id()));
    const Space space(H5Aget_space(attribute.id()));
    const H5T_class_t kind = H5Tget_class(type.id());
    T value{};
    if ((kind != H5T_INTEGER && kind != H5T_FLOAT) || H5Sget_simple_extent_npoints(space.id()) != 1 ||
        H5Aread(attribute.id(), memoryType, &value) < 0)
        return fail(std::string("the attribute ") + name + " is not a number");
    return value;
}

Status writeAttribute(hid_t owner, const char* name, hid_t type, hid_t memoryType, const Space& space,
                      const void* data)
{
    const Attribute attribute(H5Acreate2(owner, name, type, space.id(), H5P_DEFAULT, H5P_DEFAULT));
    // An attribute without elements has nothing to write, and HDF5 refuses to.
    const bool empty = H5Sget_simple_extent_npoints(space.id()) == 0;
    if (!attribute.valid() || (!empty && H5Awrite(attribute.id(), memoryType, data) < 0))
        return fail(std::string("cannot write the attribute ") + name + ": " + reason());
    return {};
}

/// Bytes that the texts of one dataset may still take.
struct TextBudget {
    std::size_t left = 0;
    bool exceeded = false;
};

void* allocateText(std::size_t size, void* info)
{
    auto* budget = static_cast<TextBudget*>(info);
    if (size > budget->left) {
        budget->exceeded = true;
        return nullptr;
    }
    budget->left -= size;
    return std::malloc(size);
}

void releaseText(void* memory, void*)
{
    std::free(memory);
}

herr_t collectName(hid_t, const char* name, const H5L_info_t*, void* target)
{
    auto* names = static_cast<std::vector<std::string>*>(target);
    if (names->size() >= maxNames)
        return -1;
    names->emplace_back(name);
    return 0;
}

} // namespace

std::unique_lock<std::recursive_mutex> lock()
{
    static std::recursive_mutex mutex;
    std::unique_lock guard(mutex);
    // The automatic printing is a setting of each thread.
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    return guard;
}

Status Attributes::set(const char* name, const std::string& text)
{
    const Type type = textType();
    const char* pointer = text.c_str();
    return writeAttribute(m_owner, name, type.id(), type.id(), Space(H5Screate(H5S_SCALAR)), &pointer);
}

Status Attributes::set(const char* name, const std::vector<std::string>& texts)
{
    const Type type = textType();
    const auto list = pointers(texts);
    return writeAttribute(m_owner, name, type.id(), type.id(), spaceOf({texts.size()}), list.data());
}

Status Attributes::set(const char* name, std::int64_t value)
{
    return writeAttribute(m_owner, name, H5T_STD_I64LE, H5T_NATIVE_INT64, Space(H5Screate(H5S_SCALAR)),
                          &value);
}

Status Attributes::set(const char* name, double value)
{
    return writeAttribute(m_owner, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, Space(H5Screate(H5S_SCALAR)),
                          &value);
}

bool Attributes::has(const char* name) const
{
    return H5Aexists(m_owner, name) > 0;
}

Result<std::string> Attributes::text(const char* name) const
{
    return readTextAttribute(m_owner, name);
}

Result<std::vector<std::string>> Attributes::texts(const char* name) const
{
    const Attribute attribute(H5Aopen(m_owner, name, H5P_DEFAULT));
    if (!attribute.valid())
        return fail(std::string("the attribute ") + name + " is missing");
    const Type type(H5Aget_type(attribute.id()));
    const Space space(H5Aget_space(attribute.id()));
    const hssize_t count = H5Sget_simple_extent_npoints(space.id());
    if (H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) <= 0 || count < 0 ||
        count > static_cast<hssize_t>(maxMeasureAxes) + 1)
        return fail(std::string("the attribute ") + name + " is not a short list of texts");
    std::vector<std::string> texts;
    if (count == 0)
        return texts;
    std::vector<char*> list(static_cast<std::size_t>(count), nullptr);
    const Type memory = textType();
    H5Tset_cset(memory.id(), H5Tget_cset(type.id()));
    if (H5Aread(attribute.id(), memory.id(), list.data()) < 0)
        return fail(std::string("cannot read the attribute ") + name + ": " + reason());
    for (const char* text : list)
        texts.emplace_back(text ? text : "");
    H5Dvlen_reclaim(memory.id(), space.id(), H5P_DEFAULT, list.data());
    return texts;
}

Result<std::int64_t> Attributes::integer(const char* name) const
{
    return readNumberAttribute<std::int64_t>(m_owner, name, H5T_NATIVE_INT64);
}

Result<double> Attributes::real(const char* name) const
{
    return readNumberAttribute<double>(m_owner, name, H5T_NATIVE_DOUBLE);
}

Status Dataset::makeScale(const std::string& name)
{
    if (H5DSset_scale(m_handle.id(), name.c_str()) < 0)
        return fail("cannot make " + name + " a dimension scale: " + reason());
    return {};
}

Status Dataset::attachScale(std::size_t dimension, const Dataset& scale, const std::string& label)
{
    const auto index = static_cast<unsigned>(dimension);
    if (H5DSattach_scale(m_handle.id(), scale.id(), index) < 0 ||
        H5DSset_label(m_handle.id(), index, label.c_str()) < 0)
        return fail("cannot attach a dimension scale: " + reason());
    return {};
}

std::string Group::full(const std::string& name) const
{
    return (m_path == "/" ? std::string() : m_path) + "/" + name;
}

Result<Group> Group::create(const std::string& name)
{
    Handle<H5Gclose> group(H5Gcreate2(m_handle.id(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    if (!group.valid())
        return fail("cannot create the group " + full(name) + ": " + reason());
    return Group(std::move(group), full(name));
}

Result<Dataset> Group::write(const std::string& name, const std::vector<std::size_t>& shape,
                             std::span<const float> values)
{
    return writeDataset(m_handle.id(), name, full(name), H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, shape,
                        values.data(), true);
}

Result<Dataset> Group::write(const std::string& name, std::span<const std::int64_t> values)
{
    return writeDataset(m_handle.id(), name, full(name), H5T_STD_I64LE, H5T_NATIVE_INT64, {values.size()},
                        values.data(), true);
}

Result<Dataset> Group::write(const std::string& name, const std::vector<std::string>& texts)
{
    const Type type = textType();
    const auto list = pointers(texts);
    return writeDataset(m_handle.id(), name, full(name), type.id(), type.id(), {texts.size()}, list.data(),
                        false);
}

Result<Dataset> Group::write(const std::string& name, const std::string& text)
{
    const Type type = textType();
    const char* pointer = text.c_str();
    return writeDataset(m_handle.id(), name, full(name), type.id(), type.id(), {}, &pointer, false);
}

Result<std::vector<std::string>> Group::names() const
{
    std::vector<std::string> names;
    hsize_t start = 0;
    if (H5Literate(m_handle.id(), H5_INDEX_NAME, H5_ITER_INC, &start, collectName, &names) < 0)
        return fail("cannot list the group " + m_path + ": " + reason());
    return names;
}

bool Group::has(const std::string& name) const
{
    return H5Lexists(m_handle.id(), name.c_str(), H5P_DEFAULT) > 0;
}

Status Group::checkLink(const std::string& name) const
{
    H5L_info_t info{};
    if (!has(name) || H5Lget_info(m_handle.id(), name.c_str(), &info, H5P_DEFAULT) < 0)
        return fail(full(name) + " is missing");
    if (info.type != H5L_TYPE_HARD)
        return fail(full(name) + " is a link to another place, which is not accepted here");
    return {};
}

Result<Group> Group::open(const std::string& name) const
{
    RANKSCOPE_CHECK(checkLink(name));
    Handle<H5Gclose> group(H5Gopen2(m_handle.id(), name.c_str(), H5P_DEFAULT));
    if (!group.valid())
        return fail(full(name) + " is not a group");
    return Group(std::move(group), full(name));
}

Result<Dataset> Group::openDataset(const std::string& name) const
{
    RANKSCOPE_CHECK(checkLink(name));
    Handle<H5Dclose> dataset(H5Dopen2(m_handle.id(), name.c_str(), H5P_DEFAULT));
    if (!dataset.valid())
        return fail(full(name) + " is not a dataset");
    RANKSCOPE_CHECK(checkStorage(dataset.id(), full(name)));
    return Dataset(std::move(dataset));
}

Result<Array<float>> Group::readFloats(const std::string& name) const
{
    RANKSCOPE_TRY(const Dataset dataset, openDataset(name));
    if (!hasClass(dataset.id(), H5T_FLOAT) && !hasClass(dataset.id(), H5T_INTEGER))
        return fail(full(name) + " does not hold numbers");
    Array<float> array;
    RANKSCOPE_TRY(array.shape, shapeOf(dataset.id(), full(name), maxNumbers));
    RANKSCOPE_CHECK(checkSubstance(dataset.id(), countOf(array.shape) * sizeof(float), full(name)));
    array.values.resize(countOf(array.shape));
    if (!array.values.empty() &&
        H5Dread(dataset.id(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data()) < 0)
        return fail("cannot read " + full(name) + ": " + reason());
    return array;
}

Result<std::vector<std::int64_t>> Group::readIntegers(const std::string& name) const
{
    RANKSCOPE_TRY(const Dataset dataset, openDataset(name));
    if (!hasClass(dataset.id(), H5T_INTEGER))
        return fail(full(name) + " does not hold whole numbers");
    RANKSCOPE_TRY(const auto shape, shapeOf(dataset.id(), full(name), maxNumbers / 2));
    if (shape.size() != 1)
        return fail(full(name) + " is not a list");
    RANKSCOPE_CHECK(checkSubstance(dataset.id(), shape[0] * sizeof(std::int64_t), full(name)));
    std::vector<std::int64_t> values(shape[0]);
    if (!values.empty() &&
        H5Dread(dataset.id(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
        return fail("cannot read " + full(name) + ": " + reason());
    return values;
}

Result<std::vector<std::string>> Group::readTexts(const std::string& name) const
{
    RANKSCOPE_TRY(const Dataset dataset, openDataset(name));
    const Type fileType(H5Dget_type(dataset.id()));
    if (H5Tget_class(fileType.id()) != H5T_STRING || H5Tis_variable_str(fileType.id()) <= 0)
        return fail(full(name) + " does not hold texts");
    RANKSCOPE_TRY(const auto shape, shapeOf(dataset.id(), full(name), maxTexts));
    if (shape.size() > 1)
        return fail(full(name) + " is not a list");
    std::vector<std::string> texts;
    const std::size_t count = countOf(shape);
    if (count == 0)
        return texts;
    RANKSCOPE_CHECK(checkSubstance(dataset.id(), count * sizeof(char*), full(name)));
    const Type memory = textType();
    H5Tset_cset(memory.id(), H5Tget_cset(fileType.id()));
    const Space space(H5Dget_space(dataset.id()));
    TextBudget budget{maxTextBytes};
    const PropertyList transfer(H5Pcreate(H5P_DATASET_XFER));
    H5Pset_vlen_mem_manager(transfer.id(), allocateText, &budget, releaseText, nullptr);
    std::vector<char*> list(count, nullptr);
    const herr_t read = H5Dread(dataset.id(), memory.id(), H5S_ALL, H5S_ALL, transfer.id(), list.data());
    if (read >= 0) {
        texts.reserve(count);
        for (const char* text : list)
            texts.emplace_back(text ? text : "");
    }
    const std::string why = read < 0 ? reason() : std::string();
    H5Dvlen_reclaim(memory.id(), space.id(), transfer.id(), list.data());
    if (budget.exceeded)
        return fail(full(name) + " holds more than the " + std::to_string(maxTextBytes) +
                    " bytes of text accepted here");
    if (read < 0)
        return fail("cannot read " + full(name) + ": " + why);
    return texts;
}

Result<File> File::create(const std::filesystem::path& path)
{
    Handle<H5Fclose> file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    if (!file.valid())
        return fail("cannot create " + path.string() + ": " + reason());
    return File(std::move(file), path);
}

Result<File> File::openReadOnly(const std::filesystem::path& path)
{
    // The file was put in place complete and is never written again; locks would only fail on network file
    // systems.
    const PropertyList access(H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_file_locking(access.id(), false, true);
    Handle<H5Fclose> file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id()));
    if (!file.valid())
        return fail("cannot open " + path.string() + " as HDF5: " + reason());
    return File(std::move(file), path);
}

Result<Group> File::root() const
{
    Handle<H5Gclose> group(H5Gopen2(m_handle.id(), "/", H5P_DEFAULT));
    if (!group.valid())
        return fail("cannot read " + m_path.string() + ": " + reason());
    return Group(std::move(group), "/");
}

Status File::close()
{
    if (m_handle.valid() && H5Fflush(m_handle.id(), H5F_SCOPE_GLOBAL) < 0)
        return fail("cannot write " + m_path.string() + ": " + reason());
    if (!m_handle.reset())
        return fail("cannot close " + m_path.string() + ": " + reason());
    return {};
}

} // namespace rankscope::record::hdf5
