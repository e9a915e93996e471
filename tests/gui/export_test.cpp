// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/sample_run.h"
#include "views/effective_rank/rank_view.h"
#include "views/export/figure_export.h"
#include "views/training/training_view.h"

#include <QFile>
#include <QImage>
#include <QTemporaryDir>
#include <QTest>
#include <QXmlStreamReader>

using namespace rankscope;
using namespace rankscope::views;
using namespace rankscope::tests;

class ExportTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void svgKeepsTextAndSize();
    void pdfEmbedsFonts();
    void pngHasTheResolution();
    void missingIsHatchedInPoints();
    void csvIsTheRecord();
    void csvNamesMeasureAndUnit();
    void longAxisNamesStay();
    void descriptionComesBack();
    void wrongEndingIsRefused();
    void unwritableFolderIsRefused();

private:
    [[nodiscard]] Figure figure(const View& view, const QString& key) const;
    [[nodiscard]] QString path(const QString& name) const { return m_folder.filePath(name); }

    record::RunRecord m_run = sampleRun();
    Selection m_selection;
    std::unique_ptr<TrainingView> m_training;
    std::unique_ptr<RankView> m_rank;
    QTemporaryDir m_folder;
    QJsonObject m_description{{"view", "training"}, {"note", "a < b & \"c\""}};
};

void ExportTest::initTestCase()
{
    m_training = std::make_unique<TrainingView>(&m_selection);
    m_rank = std::make_unique<RankView>(&m_selection);
    m_selection.setNewestStep(200);
    m_training->setRun(&m_run);
    m_rank->setRun(&m_run);
}

Figure ExportTest::figure(const View& view, const QString& key) const
{
    for (const Figure& figure : view.figures())
        if (figure.key == key)
            return figure;
    qFatal("no such figure");
}

void ExportTest::svgKeepsTextAndSize()
{
    const QString file = path(QStringLiteral("loss.svg"));
    ExportOptions options;
    options.preset = QStringLiteral("text-width");
    QVERIFY(
        exportFigure(figure(*m_training, QStringLiteral("loss")), m_description, file, options).has_value());
    QFile svg(file);
    QVERIFY(svg.open(QIODevice::ReadOnly));
    QXmlStreamReader xml(&svg);
    QStringList texts;
    QString width;
    while (!xml.atEnd()) {
        if (xml.readNext() != QXmlStreamReader::StartElement)
            continue;
        if (xml.name() == QLatin1String("svg"))
            width = xml.attributes().value(QLatin1String("width")).toString();
        else if (xml.name() == QLatin1String("text"))
            texts << xml.readElementText(QXmlStreamReader::IncludeChildElements).simplified();
    }
    QVERIFY2(!xml.hasError(), qPrintable(xml.errorString()));
    QVERIFY2(texts.contains(QStringLiteral("optimizer step")), qPrintable(texts.join('|')));
    QVERIFY2(texts.contains(QStringLiteral("loss (nats)")), qPrintable(texts.join('|')));
    QVERIFY(texts.contains(QStringLiteral("Loss")));
    QVERIFY2(texts.contains(QStringLiteral("200")), "a tick label is missing or cut off");
    QVERIFY(!texts.contains(QStringLiteral("...")));
    QVERIFY(std::abs(QString(width).remove(QStringLiteral("mm")).toDouble() - 5.5 * 25.4) < 0.3);
}

void ExportTest::pdfEmbedsFonts()
{
    const QString file = path(QStringLiteral("map.pdf"));
    QVERIFY(exportFigure(figure(*m_rank, QStringLiteral("map")), m_description, file, {}).has_value());
    QFile pdf(file);
    QVERIFY(pdf.open(QIODevice::ReadOnly));
    const QByteArray bytes = pdf.readAll();
    QVERIFY(bytes.startsWith("%PDF-"));
    QVERIFY(bytes.contains("/FontFile2") || bytes.contains("/FontFile3"));
    QVERIFY(bytes.contains("/MediaBox"));
}

void ExportTest::pngHasTheResolution()
{
    const QString file = path(QStringLiteral("map.png"));
    ExportOptions options;
    options.pixelsPerInch = 200;
    options.transparent = true;
    QVERIFY(exportFigure(figure(*m_rank, QStringLiteral("map")), m_description, file, options).has_value());
    const QImage image(file);
    QCOMPARE(image.width(), 650); // 3.25 in at 200
    QCOMPARE(qAlpha(image.pixel(1, image.height() - 2)), 0);
}

void ExportTest::missingIsHatchedInPoints()
{
    // A pattern has its spacing in device pixels, which are 1200 to the inch here.
    m_rank->setControls({{QStringLiteral("expert"), 5}}); // attention has one expert
    const QString file = path(QStringLiteral("missing.pdf"));
    QVERIFY(exportFigure(figure(*m_rank, QStringLiteral("map")), m_description, file, {}).has_value());
    m_rank->setControls({{QStringLiteral("expert"), -1}});
    QFile pdf(file);
    QVERIFY(pdf.open(QIODevice::ReadOnly));
    QVERIFY(!pdf.readAll().contains("/PatternType 1"));
}

void ExportTest::csvNamesMeasureAndUnit()
{
    const QString file = path(QStringLiteral("loss.csv"));
    QVERIFY(
        exportFigure(figure(*m_training, QStringLiteral("task-loss")), m_description, file, {}).has_value());
    QFile csv(file);
    QVERIFY(csv.open(QIODevice::ReadOnly));
    csv.readLine();
    QVERIFY(csv.readLine().startsWith("step,arc-challenge [nats],"));
    QCOMPARE(readFigureDescription(file)->value(QStringLiteral("measure")).toString(),
             QStringLiteral("train/task_loss"));
}

void ExportTest::longAxisNamesStay()
{
    const QString file = path(QStringLiteral("curves.svg")); // a single column: the axis is short
    QVERIFY(exportFigure(figure(*m_rank, QStringLiteral("curves")), m_description, file, {}).has_value());
    QFile svg(file);
    QVERIFY(svg.open(QIODevice::ReadOnly));
    QXmlStreamReader xml(&svg);
    QStringList texts;
    while (!xml.atEnd())
        if (xml.readNext() == QXmlStreamReader::StartElement && xml.name() == QLatin1String("text"))
            texts << xml.readElementText(QXmlStreamReader::IncludeChildElements).simplified();
    QVERIFY2(texts.contains(QStringLiteral("Entropy effective rank")), qPrintable(texts.join('|')));
    QVERIFY2(texts.contains(QStringLiteral("Entropy effective rank: down_proj, mean over experts")),
             qPrintable(texts.join('|')));
}

void ExportTest::csvIsTheRecord()
{
    const QString file = path(QStringLiteral("map.csv"));
    QVERIFY(exportFigure(figure(*m_rank, QStringLiteral("map")), m_description, file, {}).has_value());
    QFile csv(file);
    QVERIFY(csv.open(QIODevice::ReadOnly));
    const QList<QByteArray> lines = csv.readAll().trimmed().split('\n');
    QCOMPARE(lines.size(), 32);
    QVERIFY(lines[0].startsWith("# {"));
    QCOMPARE(lines[1], QByteArray("layer,q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"));
    const QList<QByteArray> row = lines[9].split(',');
    QCOMPARE(row[0], QByteArray("7"));
    QCOMPARE(row[2].toFloat(), sampleRank("rank/entropy", 7, 1, 0, 200));
}

void ExportTest::descriptionComesBack()
{
    for (const char* ending : {"png", "svg", "pdf", "csv"}) {
        const QString file = path(QStringLiteral("described.") + QString::fromLatin1(ending));
        QVERIFY(exportFigure(figure(*m_training, QStringLiteral("evaluation")), m_description, file, {})
                    .has_value());
        const auto back = readFigureDescription(file);
        QVERIFY2(back.has_value(), ending);
        QCOMPARE(back->value(QStringLiteral("note")), m_description.value(QStringLiteral("note")));
        QCOMPARE(back->value(QStringLiteral("figure")).toString(), QStringLiteral("evaluation"));
        QCOMPARE(back->value(QStringLiteral("preset")).toString(), QStringLiteral("single-column"));
    }
    QImage(4, 4, QImage::Format_RGB32).save(path(QStringLiteral("foreign.png")));
    const auto foreign = readFigureDescription(path(QStringLiteral("foreign.png")));
    QVERIFY(!foreign.has_value());
    QVERIFY(QString::fromStdString(foreign.error().message).contains(QStringLiteral("foreign.png")));
}

void ExportTest::wrongEndingIsRefused()
{
    const auto status =
        exportFigure(figure(*m_training, QStringLiteral("loss")), {}, path(QStringLiteral("loss.docx")), {});
    QVERIFY(!status.has_value());
    QVERIFY(QString::fromStdString(status.error().message).contains(QStringLiteral(".svg")));
}

void ExportTest::unwritableFolderIsRefused()
{
    const auto status = exportFigure(figure(*m_training, QStringLiteral("loss")), {},
                                     path(QStringLiteral("none/loss.svg")), {});
    QVERIFY(!status.has_value());
}

QTEST_MAIN(ExportTest)
#include "export_test.moc"
