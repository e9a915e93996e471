// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/export/figure_export.h"

#include "core/base/files.h"

#include <QBuffer>
#include <QFile>
#include <QFileInfo>
#include <QImageReader>
#include <QJsonDocument>
#include <QPageSize>
#include <QPainter>
#include <QPdfWriter>
#include <QSvgGenerator>
#include <QXmlStreamReader>

#include <cmath>

namespace rankscope::views
{

namespace
{

constexpr double pointsPerInch = 72;
const QString descriptionKey = QStringLiteral("Description");
const QByteArray csvComment = "# ";

QSizeF sizeInPoints(const Figure& figure, const FigurePreset& preset)
{
    const double width = preset.widthInches * pointsPerInch;
    return {width, std::round(width * figure.aspect)};
}

QByteArray compact(const QJsonObject& description)
{
    return QJsonDocument(description).toJson(QJsonDocument::Compact);
}

Status write(const QString& file, const QByteArray& bytes)
{
    return base::writeFileAtomically(
        file.toStdString(), std::string_view(bytes.constData(), static_cast<std::size_t>(bytes.size())));
}

QByteArray svg(const Figure& figure, const QSizeF& size, const PlotStyle& style,
               const QByteArray& description)
{
    QBuffer buffer;
    QSvgGenerator generator;
    generator.setOutputDevice(&buffer);
    generator.setResolution(static_cast<int>(pointsPerInch));
    generator.setSize(size.toSize());
    generator.setViewBox(QRectF(QPointF(0, 0), size));
    generator.setTitle(figure.title);
    generator.setDescription(QString::fromUtf8(description).toHtmlEscaped());
    QPainter painter(&generator);
    figure.paint(painter, QRectF(QPointF(0, 0), size), style);
    painter.end();
    return buffer.data();
}

QByteArray pdf(const Figure& figure, const QSizeF& size, const PlotStyle& style,
               const QByteArray& description)
{
    QBuffer buffer;
    buffer.open(QIODevice::WriteOnly);
    QPdfWriter writer(&buffer);
    constexpr int resolution = 1200;
    writer.setResolution(resolution);
    writer.setPageSize(QPageSize(size, QPageSize::Point, QString(), QPageSize::ExactMatch));
    writer.setPageMargins(QMarginsF());
    writer.setTitle(figure.title);
    writer.setCreator(QStringLiteral("Rankscope"));
    const QByteArray xmp =
        "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' "
        "xmlns:dc='http://purl.org/dc/elements/1.1/'><dc:description><rdf:Alt><rdf:li xml:lang='x-default'>" +
        QString::fromUtf8(description).toHtmlEscaped().toUtf8() +
        "</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>";
    writer.setDocumentXmpMetadata(xmp);
    QPainter painter(&writer);
    painter.scale(resolution / pointsPerInch, resolution / pointsPerInch);
    figure.paint(painter, QRectF(QPointF(0, 0), size), style);
    painter.end();
    return buffer.data();
}

Result<QJsonObject> parsed(const QByteArray& json, const QString& file)
{
    const QJsonDocument document = QJsonDocument::fromJson(json);
    if (!document.isObject())
        return fail((file + QStringLiteral(" holds no figure description: it was not exported by Rankscope"))
                        .toStdString());
    return document.object();
}

QByteArray unescaped(QByteArray text)
{
    return text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
}

} // namespace

const std::vector<FigurePreset>& figurePresets()
{
    static const std::vector<FigurePreset> presets = {
        {QStringLiteral("single-column"), QStringLiteral("Single column, 3.25 in"), 3.25, 7},
        {QStringLiteral("text-width"), QStringLiteral("Text width, 5.5 in"), 5.5, 8},
        {QStringLiteral("wide-text"), QStringLiteral("Wide text, 6.75 in"), 6.75, 8},
        {QStringLiteral("slide"), QStringLiteral("Slide, 10 in"), 10, 16},
    };
    return presets;
}

const FigurePreset& figurePreset(const QString& key)
{
    for (const FigurePreset& preset : figurePresets())
        if (preset.key == key)
            return preset;
    return figurePresets().front();
}

QImage figureImage(const Figure& figure, const ExportOptions& options)
{
    const FigurePreset& preset = figurePreset(options.preset);
    const QSizeF size = sizeInPoints(figure, preset);
    const double factor = options.pixelsPerInch / pointsPerInch;
    QImage image((size * factor).toSize(), QImage::Format_ARGB32_Premultiplied);
    image.fill(options.transparent ? Qt::transparent : Qt::white);
    image.setDotsPerMeterX(static_cast<int>(std::lround(options.pixelsPerInch / 0.0254)));
    image.setDotsPerMeterY(image.dotsPerMeterX());
    QPainter painter(&image);
    painter.setRenderHints(QPainter::Antialiasing | QPainter::TextAntialiasing |
                           QPainter::SmoothPixmapTransform);
    painter.scale(factor, factor);
    figure.paint(painter, QRectF(QPointF(0, 0), size),
                 PlotStyle::onPaper(preset.fontPoints, options.transparent));
    painter.end();
    return image;
}

Status exportFigure(const Figure& figure, const QJsonObject& description, const QString& file,
                    const ExportOptions& options)
{
    const QString ending = QFileInfo(file).suffix().toLower();
    const FigurePreset& preset = figurePreset(options.preset);
    QJsonObject complete = description;
    complete.insert(QStringLiteral("figure"), figure.key);
    complete.insert(QStringLiteral("preset"), preset.key);
    complete.insert(QStringLiteral("transparent"), options.transparent);
    const QByteArray json = compact(complete);
    const PlotStyle style = PlotStyle::onPaper(preset.fontPoints, options.transparent);
    const QSizeF size = sizeInPoints(figure, preset);
    if (ending == QLatin1String("csv")) {
        const CsvTable table = figure.table();
        complete.insert(QStringLiteral("title"), figure.title);
        complete.insert(QStringLiteral("measure"), table.measure);
        return write(file, csvComment + compact(complete) + '\n' + table.toCsv().toUtf8());
    }
    if (ending == QLatin1String("svg"))
        return write(file, svg(figure, size, style, json));
    if (ending == QLatin1String("pdf"))
        return write(file, pdf(figure, size, style, json));
    if (ending == QLatin1String("png")) {
        QImage image = figureImage(figure, options);
        image.setText(descriptionKey, QString::fromUtf8(json));
        QByteArray bytes;
        QBuffer buffer(&bytes);
        buffer.open(QIODevice::WriteOnly);
        if (!image.save(&buffer, "PNG"))
            return fail((file + QStringLiteral(" could not be encoded as PNG")).toStdString());
        return write(file, bytes);
    }
    return fail(
        (file + QStringLiteral(": a figure's file name must end in .png, .svg, .pdf or .csv")).toStdString());
}

Result<QJsonObject> readFigureDescription(const QString& file)
{
    const QString ending = QFileInfo(file).suffix().toLower();
    RANKSCOPE_TRY(const std::string bytes, base::readFile(file.toStdString(), std::uintmax_t{1} << 28));
    if (ending == QLatin1String("png")) {
        QByteArray content = QByteArray::fromStdString(bytes);
        QBuffer buffer(&content);
        QImageReader reader(&buffer, "PNG");
        return parsed(reader.text(descriptionKey).toUtf8(), file);
    }
    if (ending == QLatin1String("svg")) {
        QXmlStreamReader xml(QByteArray::fromStdString(bytes));
        while (!xml.atEnd())
            if (xml.readNext() == QXmlStreamReader::StartElement && xml.name() == QLatin1String("desc"))
                return parsed(unescaped(xml.readElementText().toUtf8()), file);
        return parsed({}, file);
    }
    if (ending == QLatin1String("csv")) {
        const QByteArray line = QByteArray::fromStdString(bytes.substr(0, bytes.find('\n')));
        return parsed(line.startsWith(csvComment) ? line.mid(csvComment.size()) : QByteArray(), file);
    }
    const std::string open = "<rdf:li xml:lang='x-default'>";
    const auto start = bytes.find(open);
    const auto end = start == std::string::npos ? start : bytes.find("</rdf:li>", start);
    if (end == std::string::npos)
        return parsed({}, file);
    return parsed(
        unescaped(QByteArray::fromStdString(bytes.substr(start + open.size(), end - start - open.size()))),
        file);
}

} // namespace rankscope::views
